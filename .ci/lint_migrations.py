"""Refuse a migration that the release before it could not live with: `docs/operations/upgrades.md` has the order.

django-migration-linter reads the SQL of every migration of ours. Each one that it refuses must be accepted below with a
reason, and each one accepted must still be refused: a linter that has stopped finding anything fails here too.
"""

import logging
import os
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

FIRST_RELEASE = "part of the first release, which no other one runs beside"
ACCEPTED = {
    "accounts.0012_know_whose_sessions": "the release before leaves the new columns out, and each is NULL or has a default",
    "accounts.0013_write_an_index_as_dumps_do": "the table came with this release, and is small",
    "help_requests.0008_mail_status_changes": "the table came with this release",
    "mail.0003_add_address_and_reference": "the new constraint asks less than the one it replaces, of 30 days of mail",
    "moderation.0010_reports_of_people_and_acts": "the new constraint asks less than the one it replaces, of a small table",
    "help_requests.0001_take_over_help_requests": FIRST_RELEASE,
    "messaging_v1.0001_stand_on_the_legacy_tables": FIRST_RELEASE,
    "operations.0003_drop_what_dropped_tables_had": FIRST_RELEASE,
    "rollout.0003_drop_waffles_own_flag_tables": FIRST_RELEASE,
    "rollout.0013_chain_the_record_by_hashes": FIRST_RELEASE,
    "rollout.0020_key_and_acknowledge_alerts": FIRST_RELEASE,
    "rollout.0021_prove_approvals": FIRST_RELEASE,
}
# An index that is built inside a transaction stops all writes to its table for as long.
ALSO_ERRORS = ["CREATE_INDEX", "CREATE_INDEX_EXCLUSIVE"]
STYLE = [
    "RUNPYTHON_REVERSIBLE",
    "RUNPYTHON_ARGS_NAMING_CONVENTION",
    "RUNPYTHON_MODEL_VARIABLE_NAME",
    "RUNSQL_REVERSIBLE",
]


def main() -> int:
    # The linter asks a database of its own, which need not have our tables.
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "carecollective.settings",
        "DATABASE_ROLE": "owner",
        "DATABASE_URL": "",
        "DATABASE_DIRECT_URL": "",
        "DATA_DIR": ".data/lint",
    }
    import django  # noqa: PLC0415 -- the settings read what stands above
    from django.apps import apps  # noqa: PLC0415
    from django.conf import settings  # noqa: PLC0415

    from carecollective.postgres.embedded.server import ensure_running  # noqa: PLC0415

    ensure_running(settings.DATA_DIR)
    django.setup()
    logging.getLogger("django_migration_linter").setLevel(logging.WARNING)
    from django_migration_linter import MigrationLinter  # noqa: PLC0415

    ours = {app.label for app in apps.get_app_configs() if _is_ours(Path(app.path), settings.BASE_DIR)}
    linter = MigrationLinter(
        no_cache=True,
        warnings_as_errors_tests=ALSO_ERRORS,
        exclude_migration_tests=STYLE,
        ignore_initial_migrations=False,
    )
    refused: dict[str, str] = {}
    for (label, name), migration in sorted(linter.migration_loader.disk_migrations.items()):
        before = linter.nb_erroneous
        if label in ours:
            with redirect_stdout(StringIO()) as said:
                linter.lint_migration(migration)
            if linter.nb_erroneous > before:
                refused[f"{label}.{name}"] = said.getvalue().strip()
    new, gone = refused.keys() - ACCEPTED.keys(), ACCEPTED.keys() - refused.keys()
    for name in sorted(new):
        print(
            f"{refused[name]}\n\tThe release before cannot live with it: docs/operations/upgrades.md says how it can."
        )
    for name in sorted(gone):
        print(f"{name} is accepted in {__file__}, and nothing in it is refused: take it out of the list.")
    print(f"{linter.nb_total} migrations checked, {len(ACCEPTED)} of them accepted as they are, {len(new)} refused.")
    return 1 if new or gone else 0


def _is_ours(path: Path, base: Path) -> bool:
    return path.is_relative_to(base) and "site-packages" not in path.parts


if __name__ == "__main__":
    sys.exit(main())
