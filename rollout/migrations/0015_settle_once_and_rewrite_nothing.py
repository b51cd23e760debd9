"""A proposal is decided once and a root cause filed once; sign-offs and certificates are only added to."""

from django.db import migrations

TABLES = ("rollout_proposal", "rollout_root_cause", "rollout_sign_off", "rollout_drain_certificate")

SETTLE = """
CREATE FUNCTION public.rollout_refuse_settling_again() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'This has been settled, and stays as it is.' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER rollout_proposal_settle_once BEFORE UPDATE ON public.rollout_proposal
    FOR EACH ROW WHEN (OLD.state <> 'pending') EXECUTE FUNCTION public.rollout_refuse_settling_again();
CREATE TRIGGER rollout_root_cause_settle_once BEFORE UPDATE ON public.rollout_root_cause
    FOR EACH ROW WHEN (OLD.filed_at IS NOT NULL) EXECUTE FUNCTION public.rollout_refuse_settling_again();
"""

UNSETTLE = """
DROP TRIGGER rollout_proposal_settle_once ON public.rollout_proposal;
DROP TRIGGER rollout_root_cause_settle_once ON public.rollout_root_cause;
DROP FUNCTION public.rollout_refuse_settling_again();
"""

KEEP = """
CREATE TRIGGER {table}_refuse_rewriting BEFORE {events} ON public.{table}
    FOR EACH ROW EXECUTE FUNCTION public.rollout_refuse_rewriting();
CREATE TRIGGER {table}_refuse_emptying BEFORE TRUNCATE ON public.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION public.rollout_refuse_rewriting();
"""

RELEASE = """
DROP TRIGGER {table}_refuse_emptying ON public.{table};
DROP TRIGGER {table}_refuse_rewriting ON public.{table};
"""


def keep(table: str) -> migrations.RunSQL:
    settles = table in ("rollout_proposal", "rollout_root_cause")
    events = "DELETE" if settles else "UPDATE OR DELETE"
    return migrations.RunSQL(KEEP.format(table=table, events=events), RELEASE.format(table=table))


class Migration(migrations.Migration):
    dependencies = [("rollout", "0014_open_a_root_cause_with_each_rollback")]

    operations = [migrations.RunSQL(SETTLE, UNSETTLE), *(keep(table) for table in TABLES)]
