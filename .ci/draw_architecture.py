"""Draw the packages and their imports into docs/architecture.md, from the code itself.

`PYTHONPATH=. .venv/bin/python .ci/draw_architecture.py` writes the pictures. With `--check` it only tells whether they are in
step, and ends with 1 if not.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path

import grimp

PAGE = Path(__file__).resolve().parent.parent / "docs/architecture.md"
ROOTS = ("carecollective", "messaging_v1", "messaging_v2", "rollout")
BLOCK = re.compile(r"(<!-- (\w+): made by .ci/draw_architecture.py -->\n```mermaid\n).*?(```)", re.DOTALL)

Edges = Mapping[str, set[str]]


def main() -> int:
    graph = grimp.build_graph(*ROOTS, cache_dir=None)
    house = [name for name in graph.find_children("carecollective") if graph.find_children(name)]
    rooms = [name for name in graph.find_children("rollout") if graph.find_children(name)]
    pictures = {
        "house": _draw(graph, [*house, "messaging_v1", "messaging_v2", "rollout"]),
        "rollout": _draw(graph, [name for name in rooms if not name.endswith((".management", ".migrations"))]),
    }
    page = PAGE.read_text()
    drawn = BLOCK.sub(lambda found: f"{found[1]}{pictures[found[2]]}{found[3]}", page)
    if "--check" in sys.argv[1:]:
        if drawn != page:
            print("docs/architecture.md is not in step with the imports: run .ci/draw_architecture.py.")
        return int(drawn != page)
    PAGE.write_text(drawn)
    return 0


def _draw(graph: grimp.ImportGraph, packages: Iterable[str]) -> str:
    """Return a Mermaid flowchart of which package imports which, without what follows from the rest."""
    names = sorted(packages)
    whole = deepcopy(graph)
    for name in names:
        whole.squash_module(name)
    edges: Edges = {name: whole.find_modules_directly_imported_by(name) & set(names) - {name} for name in names}
    lines = ["flowchart TD"]
    for name in names:
        implied = {far for near in edges[name] for far in _all_below(near, edges)}
        lines += [f"  {_label(name)} --> {_label(other)}" for other in sorted(edges[name] - implied)]
    return "\n".join(lines) + "\n"


def _all_below(name: str, edges: Edges) -> set[str]:
    return {other for near in edges[name] for other in {near} | _all_below(near, edges)}


def _label(name: str) -> str:
    return name.removeprefix("carecollective.").removeprefix("rollout.")


if __name__ == "__main__":
    sys.exit(main())
