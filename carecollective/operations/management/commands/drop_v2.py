import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.db import DatabaseError

from carecollective.operations.commands import OperationCommand
from carecollective.operations.drop_v2 import drop_v2
from carecollective.operations.errors import OperationError
from carecollective.operations.terminal import render_contents
from carecollective.serving.supervisor import SiteError, stop_running_site


class Command(OperationCommand):
    help = (
        "Drop V2's tables, when turning it off is not enough. Refuses while the site serves, while V2 is on, and while it holds"
        " conversations unless they are written to a folder and the database's name is typed. `migrate` makes the tables again,"
        " empty; the site needs them to start."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--export", metavar="DIR", type=Path, help="write both tables there first, as CSV")
        parser.add_argument(
            "--stop-serving",
            action="store_true",
            help="stop the site that runs on this DATA_DIR first; one run elsewhere is stopped there",
        )
        parser.add_argument("--confirm", metavar="NAME", default="", help="the database's name, typed by you")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        export = options["export"].expanduser().absolute() if options["export"] else None
        confirm = options["confirm"]
        if export and not confirm and not options["json"] and sys.stdin.isatty():
            confirm = input("Type the database's name to drop V2's tables: ").strip()
        if options["stop_serving"]:
            self.stop_serving()
        try:
            dropped = drop_v2(export=export, confirm=confirm)
        except DatabaseError as problem:
            raise OperationError(f"Nothing was dropped: {str(problem).strip().splitlines()[0]}.") from None
        if options["json"]:
            rows = {name: table.rows for name, table in dropped.tables.items()}
            self.answer({"database": dropped.database, "dropped": rows, "exported_to": export and str(export)})
            return
        self.stdout.write("\n".join(render_contents(dropped.tables)))
        count = sum(table.rows for table in dropped.tables.values())
        self.stdout.write(f"\nDropped: {len(dropped.tables)} tables with {count:,} rows.")
        if export:
            self.stdout.write(f"They are in {export}, with their checksums.")
        self.stdout.write("`manage.py migrate` makes both tables again, empty; the site needs them to start.")

    def stop_serving(self) -> None:
        try:
            stopped = stop_running_site()
        except SiteError as problem:
            raise OperationError(str(problem)) from None
        self.stderr.write("The site of this DATA_DIR is stopped." if stopped else "No site runs on this DATA_DIR.")
