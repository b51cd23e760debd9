from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from carecollective.operations.commands import OperationCommand
from carecollective.operations.tables import render, show_difference
from carecollective.operations.verification import verify_messaging, verify_structure


class Command(OperationCommand):
    help = (
        "Compare the messaging tables with what was agreed: the playbook's five queries, roles, grants, constraints, triggers,"
        " drift and integrity, each expected beside found, and the three operations tried in another's name. Changes nothing."
        " Ends with 1 when anything differs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--cheap", action="store_true", help="only what one statement finds, as the start does")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        checks = verify_structure() if options["cheap"] else verify_messaging()
        wrong = [check for check in checks if not check.ok]
        if options["verbosity"] == 0:
            if wrong:
                lines = [f"{check.what}: {check.expected} expected, {check.found} found." for check in wrong]
                raise CommandError("\n- ".join(["The messaging tables are not as agreed:", *lines]))
            return
        if options["json"]:
            self.answer({"checks": [asdict(check) for check in checks]}, ok=not wrong)
        else:
            rows = [
                ("ok" if check.ok else "WRONG", check.group, check.name, *show_difference(check.expected, check.found))
                for check in checks
            ]
            self.stdout.write("\n".join(render(("", "What", "Of", "Expected", "Found"), rows)))
            self.stdout.write("")
        if wrong:
            raise CommandError(f"{len(wrong)} of {len(checks)} checks found something else than was agreed.")
        if not options["json"]:
            self.stdout.write(f"All {len(checks)} checks pass.")
