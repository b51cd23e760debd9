from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from carecollective.operations.commands import OperationCommand
from carecollective.operations.terminal import render, show_difference
from carecollective.operations.verification.checks import Check
from carecollective.operations.verification.verify import find_newer_migrations, verify_messaging, verify_structure

LONGEST_REMEDY = 800


class Command(OperationCommand):
    help = (
        "Compare the database with what was agreed: the playbook's five queries, and everything that decides who may read or"
        " write (policies, grants, functions, triggers, roles, settings); drift and integrity; and the three operations tried"
        " in another's name. Shows what differs, expected beside found, with the remedy. Changes nothing. Ends with 1 when"
        " anything differs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--cheap", action="store_true", help="only what the catalogue says, as the start does")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verbosity"] == 0:
            self._refuse_to_start(verify_structure())
            return
        checks = verify_structure() if options["cheap"] else verify_messaging()
        wrong = [check for check in checks if not check.ok]
        if options["json"]:
            self.answer({"checks": [asdict(check) for check in checks]}, ok=not wrong)
        else:
            self.stdout.write("\n".join([*_summary(checks), "", *_details(wrong)]))
        if wrong:
            raise CommandError(f"{len(wrong)} of {len(checks)} checks found something else than was agreed.")
        if not options["json"]:
            self.stdout.write(f"All {len(checks)} checks pass.")

    def _refuse_to_start(self, checks: Sequence[Check]) -> None:
        """Say nothing when all is well; else end with what keeps the site from starting, or warn of what does not."""
        wrong = [check for check in checks if not check.ok]
        if not wrong:
            return
        newer = find_newer_migrations()
        if newer:
            self.stderr.write(
                f"The database was migrated by a newer release ({', '.join(newer)}). What differs from this one is not"
                " looked at."
            )
            return
        lines = [f"{check.what}: {check.expected} expected, {check.found} found. {check.remedy}" for check in wrong]
        if any(check.stops_start for check in wrong):
            raise CommandError("\n- ".join(["The database is not as agreed:", *lines]))
        self.stderr.write("\n- ".join(["The site starts, but the database is not as agreed:", *lines]))


def _summary(checks: Sequence[Check]) -> Iterator[str]:
    """Yield a table of all that was looked at."""
    rows = [
        ("ok" if check.ok else "WRONG", check.group, check.name, check.expected if check.ok else "see below")
        for check in checks
    ]
    return render(("", "What", "Of", "Expected and found"), rows)


def _details(wrong: Sequence[Check]) -> Iterator[str]:
    """Yield a paragraph for each thing that differs."""
    for check in wrong:
        expected, found = show_difference(check.expected, check.found)
        yield f"WRONG  {check.what}"
        yield f"  expected  {_on_one_line(expected)}"
        yield f"  found     {_on_one_line(found)}"
        if check.remedy:
            # Whole functions are for --json; a policy is shown as it has to be typed.
            whole = len(check.remedy) <= LONGEST_REMEDY
            yield f"  remedy    {check.remedy if whole else check.remedy[:LONGEST_REMEDY] + ' … (all of it with --json)'}"
        yield ""


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
