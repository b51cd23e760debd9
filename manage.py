#!/usr/bin/env python
"""Django's command line: as the database role that the command needs, with the embedded server running."""

import os
import signal
import sys

# These change tables or own them; everything else runs as the web role, policies and all.
OWNER_COMMANDS = frozenset(
    {
        *("adopt_legacy", "create_roles", "dbshell", "flush", "inspectdb", "makemigrations"),
        *("migrate", "optimizemigration", "serve", "showmigrations", "sqlflush", "sqlmigrate", "sqlsequencereset"),
        *("drop_v2", "prepare_database", "restore", "squashmigrations"),
    }
)
# `serve` starts the server itself, after it has looked whether it may.
WITHOUT_DATABASE = frozenset(
    {
        *("check", "collectstatic", "compilemessages", "database_url", "diffsettings", "findstatic", "help"),
        *("makemessages", "restart", "serve", "spectacular", "startapp", "startproject", "version"),
    }
)


def main() -> None:
    # Ctrl-C in the first half second, which goes into imports, ends the program without a trace.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "carecollective.settings")
    arguments = sys.argv[1:]
    command = arguments[0] if arguments else "help"
    # A rollback takes no more than the guard's rights, and gets in when the web role's connections are all in use.
    as_guard = command == "guard" or arguments[:2] == ["rollout", "rollback"]
    role = "owner" if command in OWNER_COMMANDS else "guard" if as_guard else "web"
    os.environ.setdefault("DATABASE_ROLE", role)

    from django.conf import settings  # noqa: PLC0415
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.core.management import execute_from_command_line  # noqa: PLC0415
    from django.db import OperationalError  # noqa: PLC0415

    from carecollective.postgres.dsn import describe_unreachable  # noqa: PLC0415
    from carecollective.postgres.embedded.server import ensure_running  # noqa: PLC0415
    from carecollective.postgres.errors import PostgresError  # noqa: PLC0415

    try:
        local = settings.LOCAL_MODE
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if local and needs_database(command, arguments):
            ensure_running(settings.DATA_DIR)
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, PostgresError) as problem:
        sys.exit(str(problem))
    except OperationalError as problem:
        if (sentence := describe_unreachable(problem)) is None:
            raise
        sys.exit(sentence)
    except KeyboardInterrupt:
        sys.exit(130)


def needs_database(command: str, arguments: list[str]) -> bool:
    if command.startswith("-") or {"--help", "-h", "--version"}.intersection(arguments):
        return False
    return command not in WITHOUT_DATABASE or (command == "check" and "--database" in arguments)


if __name__ == "__main__":
    main()
