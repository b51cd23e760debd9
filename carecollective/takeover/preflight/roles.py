"""Roles that the application runs as and that the owner may not create."""

from collections.abc import Iterator

from django.conf import settings

from carecollective.core.database import fetch_all
from carecollective.postgres.dsn import ROLE_NAMES, SERVICE_ROLES
from carecollective.takeover.preflight.findings import PreflightFinding

# Before PostgreSQL 16 only a superuser creates a role that bypasses policies.
_MAY_CREATE = """
SELECT current_user, rolsuper OR rolcreaterole AND rolbypassrls AND current_setting('server_version_num')::int >= 160000
FROM pg_roles WHERE rolname = current_user
"""


def find_roles_that_cannot_be_created() -> Iterator[PreflightFinding]:
    """Look for missing roles where the owner lacks the right to create them. The embedded server always has them."""
    if settings.LOCAL_MODE:
        return
    there = {name for (name,) in fetch_all("SELECT rolname FROM pg_roles")}
    missing = [ROLE_NAMES[role] for role in SERVICE_ROLES if ROLE_NAMES[role] not in there]
    ((owner, may_create),) = fetch_all(_MAY_CREATE)
    if missing and not may_create:
        yield PreflightFinding(
            problem=f"The role {owner} may not create the roles {', '.join(missing)}, which the application runs as.",
            remedy="Run `manage.py create_roles`, have an administrator of the server run the statements that it prints, and"
            " run the check again.",
        )
