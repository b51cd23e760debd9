from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings

from carecollective.operations.backups.drill_record import read_record
from carecollective.operations.backups.dumps import list_backups, make_backup, prune_backups
from carecollective.operations.backups.manifest import ENCRYPTED_DUMP, path_of_manifest, read_manifest
from carecollective.operations.commands import OperationCommand
from carecollective.operations.connections import connected, url_of
from carecollective.operations.terminal import render, render_contents


class Command(OperationCommand):
    help = (
        "Dump the database as the operations role, which bypasses policies, with a manifest of every table's rows and"
        " checksum beside it. In BACKUP_DIR the newest BACKUPS_KEPT backups are kept; elsewhere nothing is deleted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--list",
            action="store_true",
            help="make none: list the existing ones, and how the latest restore drill ended",
        )
        parser.add_argument("--to", metavar="DIR", type=Path, help="another folder than BACKUP_DIR")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        folder = (options["to"] or settings.BACKUP_DIR).expanduser().absolute()
        if options["list"]:
            self.list(folder, in_json=options["json"])
            return
        with self.progress(options) as say:
            dump, manifest = make_backup(folder, say=say)
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

    def list(self, folder: Path, *, in_json: bool) -> None:
        """Show the folder's backups, the newest first, and how the latest restore drill ended."""
        found = [(dump, read_manifest(dump)) for dump in list_backups(folder)]
        with connected(url_of("owner"), autocommit=True) as session:
            drill = read_record(session).latest
        if in_json:
            backups = [
                {
                    "dump": str(dump),
                    "encrypted": dump.name.endswith(ENCRYPTED_DUMP),
                    "bytes": manifest.bytes,
                    "rows": manifest.rows,
                    "finished_at": manifest.finished_at,
                    "restore_verified_at": manifest.restore_verified_at,
                }
                for dump, manifest in found
            ]
            latest = asdict(drill) | {"tried_at": drill.tried_at.isoformat()} if drill else None
            self.answer({"backups": backups, "latest_trial": latest})
            return
        rows = [
            (dump.name, manifest.bytes, manifest.rows, (manifest.restore_verified_at or "never")[:16].replace("T", " "))
            for dump, manifest in found
        ]
        self.stdout.write("\n".join(render(("Backup", "Bytes", "Rows", "Restored in a drill"), rows)))
        self.stdout.write(f"\n{len(rows)} backups in {folder}.")
        if drill is None:
            self.stdout.write("No restore drill is on record.")
        else:
            how = drill.failure or f"the same to the last character, in {drill.seconds:.0f} s"
            self.stdout.write(f"Latest restore drill, {drill.tried_at:%Y-%m-%d %H:%M} UTC, of {drill.dump}: {how}")
