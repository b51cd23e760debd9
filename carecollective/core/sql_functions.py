"""SQL functions in files, loaded by migrations: each app keeps the text of its functions in its folder `sql`."""

from pathlib import Path

from django.apps import apps
from django.db import migrations


def load_function(app: str, name: str, *, version: int = 1) -> migrations.RunSQL:
    """Return the operation that makes the function as `sql/NAME_vVERSION.sql` says.

    Taken back, it makes the version before. Below version 1 the function stays as it is: the migration that made it drops it.
    """
    before = read_function(app, name, version - 1) if version > 1 else migrations.RunSQL.noop
    return migrations.RunSQL(read_function(app, name, version), before)


def read_function(app: str, name: str, version: int) -> str:
    """Return the statement that makes this version of the function."""
    return (Path(apps.get_app_config(app).path) / "sql" / f"{name}_v{version}.sql").read_text()
