from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings

from carecollective.operations.backups.dumps import make_backup, prune_backups
from carecollective.operations.backups.manifest import path_of_manifest
from carecollective.operations.commands import OperationCommand
from carecollective.operations.progress import Progress
from carecollective.operations.tables import render_contents


class Command(OperationCommand):
    help = (
        "Dump the database as the operations role, which policies do not hold, with a manifest of every table's rows and"
        " checksum beside it. In BACKUP_DIR the newest BACKUPS_KEPT backups are kept; elsewhere nothing is deleted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", metavar="DIR", type=Path, help="another folder than BACKUP_DIR")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        folder = (options["to"] or settings.BACKUP_DIR).expanduser().absolute()
        progress = Progress(self.stderr if options["json"] else self.stdout)
        try:
            dump, manifest = make_backup(folder, say=progress.say)
        finally:
            progress.end()
        pruned = prune_backups() if folder == settings.BACKUP_DIR else 0
        if options["json"]:
            place = {"dump": str(dump), "manifest": str(path_of_manifest(dump))}
            self.answer({**place, "deleted": pruned, **asdict(manifest)})
            return
        self.stdout.write("\n".join(render_contents(manifest.tables)))
        self.stdout.write(
            f"\n{len(manifest.tables)} tables, {manifest.rows:,} rows, {len(manifest.policies)} policies, "
            f"{len(manifest.grants)} grants; {manifest.bytes:,} bytes."
        )
        self.stdout.write(f"Backup: {dump}")
        if pruned:
            self.stdout.write(f"Deleted: {pruned} older, {settings.BACKUPS_KEPT} are kept.")
        self.stdout.write(f"Try it:  manage.py restore {dump} --verify")
