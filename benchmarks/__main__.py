"""Seed, check that all peers answer alike, measure, and write the results."""

import argparse
from contextlib import ExitStack

from benchmarks import operations, seed, servers
from carecollective.postgres.embedded.server import ensure_running, release


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", choices=["tiny", "quick", "full"], default="full")
    parser.add_argument("--check", action="store_true", help="only check that all peers answer alike")
    options = parser.parse_args()
    size = {"tiny": seed.TINY, "quick": seed.QUICK, "full": seed.FULL}[options.size]
    ensure_running(seed.DATA_DIR)
    try:
        seed.ensure_seeded(size)
        check(size)
    finally:
        release(seed.DATA_DIR)


def check(size: seed.Size) -> None:
    """End with a sentence unless every peer answers each operation as the site does."""
    found = {}
    for peer in servers.PEERS:
        seed.clear_writes(size.database)
        with servers.running(peer, size.database) as server:
            found[peer.name] = operations.answers_of(operations.Client(server, size))
    operations.check_same(found)
    print(f"All {len(found)} peers answer alike.")


if __name__ == "__main__":
    main()
