from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from carecollective.core import erasure_ledger
from carecollective.operations.backups.dumps import list_backups
from carecollective.operations.backups.erasures import erase_again, read_ledgers
from carecollective.operations.backups.restores import restore_into, run_restore_drill
from carecollective.operations.commands import OperationCommand
from carecollective.operations.connections import url_of
from carecollective.operations.errors import OperationError
from carecollective.operations.terminal import render_contents
from carecollective.postgres.dsn import parse_url


class Command(OperationCommand):
    help = (
        "Restore a backup into the configured database or another one, which must be new or empty, and compare every row,"
        " policy and grant with the manifest. Exits with 1 and names what differs, if anything does."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            metavar="FILE",
            type=Path,
            help="the .dump or .dump.age, with its .manifest.json beside it; `latest`: the newest in BACKUP_DIR",
        )
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--into", metavar="URL", help="another database: postgresql://owner:password@host/database")
        where.add_argument(
            "--verify", action="store_true", help="into a scratch database that is dropped again: changes nothing"
        )
        parser.add_argument(
            "--identity", metavar="KEY", type=Path, help="the file with the secret key of an encrypted backup"
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        dump = _find(options["file"])
        ledger = None if options["verify"] else read_ledgers(dump)
        identity = options["identity"].expanduser().absolute() if options["identity"] else None
        erased = 0
        url = options["into"] or url_of("owner")
        with self.progress(options) as say:
            if options["verify"]:
                manifest = run_restore_drill(dump, say=say, identity=identity)
                place = "a scratch database, dropped again"
            else:
                manifest = restore_into(dump, url, say=say, identity=identity)
                erased = erase_again(ledger or {}, url, say=say)
                place = parse_url(url).get("dbname", "")
        if options["json"]:
            counts = {"tables": len(manifest.tables), "rows": manifest.rows, "erased_again": erased}
            self.answer({"dump": str(dump), "into": place, **counts})
            return
        self.stdout.write("\n".join(render_contents(manifest.tables)))
        self.stdout.write(f"\nRestored into {place}: {len(manifest.tables)} tables, {manifest.rows:,} rows.")
        self.stdout.write(
            f"Every checksum, {len(manifest.policies)} policies and {len(manifest.grants)} grants are the manifest's."
        )
        if not options["verify"]:
            self.stdout.write(_describe_erased(erased, has_ledger=ledger is not None))


def _describe_erased(count: int, *, has_ledger: bool) -> str:
    if not has_ledger:
        return (
            f"No {erasure_ledger.NAME} beside the backup: members who were erased since it was made, if any, are back."
        )
    return f"Erased again: {count} who left after the backup was made."


def _find(file: Path) -> Path:
    if str(file) != "latest":
        return file.expanduser().absolute()
    newest = next(iter(list_backups(settings.BACKUP_DIR)), None)
    if newest is None:
        raise OperationError(f"There is no backup in {settings.BACKUP_DIR}.")
    return newest
