import argparse
from typing import Any

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from carecollective.accounts.models import User
from carecollective.postgres.errors import PostgresError
from carecollective.takeover import legacy
from carecollective.takeover.preflight import run_preflight
from carecollective.takeover.preflight.findings import PreflightFinding
from carecollective.takeover.proof import prove_site
from carecollective.takeover.services import accept_changes, record_takeover, take_over

SAMPLE_SUPERUSER = "amina@example.org"
NOT_FINISHED = "The takeover is not finished. Put this right and run the command again; it goes on where it stopped:"
NOT_HERE = "There is no legacy database here: the table auth.users is missing."


class Command(BaseCommand):
    help = (
        "Take over a restored legacy database: bring the tables up to date, let members sign in with the passwords they have,"
        " and prove that the site works and shows every legacy row. Safe to repeat."
    )
    requires_system_checks = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="only read, and list what stands in the way with what to do about it; ends with 1 when anything does",
        )
        parser.add_argument(
            "--accept-changes",
            action="store_true",
            help="only keep the legacy functions, triggers and policies as they are now for agreed; verify_messaging names them",
        )
        parser.add_argument("--superuser", default="", metavar="EMAIL", help="make this member a superuser")
        parser.add_argument(
            "--sample",
            action="store_true",
            help="load the sample of a legacy database first, if this one is empty; do nothing once it is taken over",
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except (DatabaseError, psycopg.Error, PostgresError, OSError) as problem:
            raise CommandError(f"The command stopped. {_in_one_sentence(problem)}") from problem

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            self._check()
            return
        if options["accept_changes"]:
            self._accept_changes()
            return
        superuser = options["superuser"]
        if options["sample"]:
            if not settings.LOCAL_MODE:
                raise CommandError("The sample is only for the embedded database, never for a database of your own.")
            if legacy.is_empty():
                self.stdout.write("Loading the sample of a legacy database …")
                legacy.load_sample()
            if not legacy.is_waiting():
                return
            superuser = superuser or SAMPLE_SUPERUSER
        if not legacy.is_there():
            raise CommandError(NOT_HERE)
        self._refuse_what_stops()
        self.stdout.write("Taking over the legacy database …")
        before = legacy.checksums()
        call_command("create_roles", verbosity=0)
        call_command("migrate", interactive=False, verbosity=0)
        try:
            outcome = take_over(superuser_email=superuser)
        except User.DoesNotExist:
            raise CommandError(f"No member has the e-mail address {superuser}.") from None
        proof = prove_site()
        after = legacy.checksums()
        changed = [table for table in legacy.V1_TABLES if before[table] != after[table]]
        self._print(
            [
                ("Members who can sign in with their legacy password", outcome.members_given_sign_in),
                ("Members without an e-mail address (cannot sign in)", outcome.members_without_sign_in),
                ("Legacy sign-ins without a member (left alone)", outcome.sign_ins_without_member),
                ("Staff", outcome.staff),
                ("Internal testers", outcome.testers),
                ("Kept out: banned", outcome.kept_out.banned),
                ("Kept out: deleted", outcome.kept_out.deleted),
                ("Kept out: suspended or restricted", outcome.kept_out.restricted),
                ("Not approved: never confirmed the e-mail address", outcome.kept_out.unconfirmed),
                ("Open requests given their full time again", outcome.requests_prolonged),
                ("Missing names, titles and dates filled in", outcome.gaps_filled),
                ("Members whom the site shows", proof.members),
                ("Requests that the site shows", proof.requests),
                ("Legacy conversations", proof.conversations),
                ("  of them without a message", proof.without_a_message),
                ("Conversations read, once for each participant", proof.readings),
                ("Messages read", proof.messages),
                ("Steps rehearsed as members and staff, and taken back", proof.steps),
                ("Differences between tables and application", len(proof.differences)),
                ("Legacy tables whose rows changed", len(changed)),
            ]
        )
        if proof.differences or changed:
            connection.close()
            wrong = [*proof.differences, *(f"the rows of {table} changed" for table in changed)]
            raise CommandError("\n- ".join([NOT_FINISHED, *wrong]))
        record_takeover()
        connection.close()
        self.stdout.write(
            "The site works, every legacy conversation is readable by its participants, and no legacy row has changed."
        )

    def _accept_changes(self) -> None:
        changes = accept_changes()
        for change in changes:
            self.stdout.write(f"Accepted: {change.part}, {change.name}")
        if not changes:
            self.stdout.write("Nothing of the legacy system's has changed.")

    def _check(self) -> None:
        """Run the preflight and print its findings."""
        if not legacy.is_there():
            raise CommandError(NOT_HERE)
        self._refuse_what_stops()
        self.stdout.write("Nothing stands in the way of a takeover.")

    def _refuse_what_stops(self) -> None:
        findings = run_preflight()
        for finding in findings:
            if not finding.stops:
                self.stdout.write(f"Note: {_in_words(finding)}")
        obstacles = [_in_words(finding) for finding in findings if finding.stops]
        if obstacles:
            raise CommandError(
                "\n- ".join(["Nothing was changed. This stands in the way of the takeover:", *obstacles])
            )

    def _print(self, rows: list[tuple[str, int]]) -> None:
        width = max(len(label) for label, _count in rows)
        for label, count in rows:
            self.stdout.write(f"  {label:<{width}}  {count:>6}")


def _in_words(finding: PreflightFinding) -> str:
    return f"{finding.problem} What to do: {finding.remedy}"


def _in_one_sentence(problem: Exception) -> str:
    # It may have several lines, with statements for an administrator.
    if isinstance(problem, PostgresError):
        return str(problem)
    first = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
    return f"The database says: {first.removesuffix('.')}."
