import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from carecollective.operations.dropping import drop_v2
from carecollective.operations.problems import OperationError


class Command(BaseCommand):
    help = (
        "Drop the new messaging's tables, when turning it off is not enough. Refuses while it is on, and while it holds"
        " conversations unless they are written to a folder and the database's name is typed. `migrate` makes the tables anew,"
        " empty; the site needs them to start."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--export", metavar="DIR", type=Path, help="write both tables there first, as CSV")
        parser.add_argument("--confirm", metavar="NAME", default="", help="the database's name, typed by you")
        parser.add_argument("--json", action="store_true", help="answer in JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        export = options["export"].expanduser().absolute() if options["export"] else None
        confirm = options["confirm"]
        if export and not confirm and sys.stdin.isatty():
            confirm = input("Type the database's name to drop the new messaging's tables: ").strip()
        try:
            dropped = drop_v2(export=export, confirm=confirm)
        except OperationError as problem:
            raise CommandError(str(problem)) from None
        except DatabaseError as problem:
            raise CommandError(f"Nothing was dropped: {str(problem).strip().splitlines()[0]}.") from None
        rows = {name: table.rows for name, table in dropped.tables.items()}
        if options["json"]:
            facts = {"database": dropped.database, "dropped": rows, "exported_to": export and str(export)}
            self.stdout.write(json.dumps(facts))
            return
        for name, count in rows.items():
            self.stdout.write(f"Dropped {name} with {count:,} rows.")
        if export:
            self.stdout.write(f"They are in {export}, with their checksums.")
        self.stdout.write("`manage.py migrate` makes both tables anew, empty; the site needs them to start.")
