"""Every attempt to break the policies. Each runs as the role itself on committed rows, and is rolled back."""

from tests.policies import probes_of_safety, probes_of_staff, probes_of_v1, probes_of_v2
from tests.policies.probe import DENIED, Probe

MESSAGING_TABLES = (*probes_of_v2.TABLES, *probes_of_v1.TABLES)

POWERS = (
    *(Probe(f"the web may not become {role}", f"SET ROLE {role}", DENIED)
      for role in ("carecollective_owner", "carecollective_ops", "carecollective_guard", "postgres")),
    *(
        Probe(f"with policies switched off {table} is not read at all", f"SELECT FROM {table}", DENIED, "helper",
              before=("SET LOCAL row_security = off",))
        for table in MESSAGING_TABLES
    ),
    *(
        # Asked of the catalog, because a legacy policy would fail for reasons of its own.
        Probe(f"the guard holds no right on {table}",
              f"SELECT WHERE has_any_column_privilege('public.{table}', 'SELECT, INSERT, UPDATE')", 0, role="guard")
        for table in MESSAGING_TABLES
    ),
    *(
        Probe(f"the web does not lift the policies of {table}", f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY", DENIED)
        for table in MESSAGING_TABLES
    ),
    Probe("the web writes no policy", "CREATE POLICY mine ON messages_v2 USING (true)", DENIED),
    Probe("the web makes no table among ours", "CREATE TABLE public.mine ()", DENIED),
    Probe(
        "the web does not replace the function that every policy asks",
        "CREATE OR REPLACE FUNCTION public.current_member() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'",
        DENIED,
    ),
    Probe("the web gives itself no rights", "ALTER ROLE carecollective_web BYPASSRLS", DENIED),
    Probe("the web hands the owner's rights to nobody", "GRANT carecollective_owner TO carecollective_web", DENIED),
    Probe("the web reads no file of the server's", "SELECT pg_read_file('PG_VERSION')", DENIED),
    Probe("the web runs no program on the server", "COPY profiles TO PROGRAM 'cat >/dev/null'", DENIED),
)  # fmt: skip

PROBES = (
    *probes_of_v2.PROBES,
    *probes_of_v1.PROBES,
    *probes_of_staff.PROBES,
    *probes_of_safety.PROBES,
    *POWERS,
    *probes_of_v1.CLAIMED,
)
