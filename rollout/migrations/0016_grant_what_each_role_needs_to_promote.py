"""The web proposes, decides, signs and files; the guard, which only ever goes down, asks for the drain and reads the rest."""

from django.db import migrations

GRANT = """
GRANT SELECT, INSERT ON public.rollout_proposal, public.rollout_sign_off TO carecollective_web;
GRANT UPDATE (state, decided_by_id, decided_by_label, decided_at, decision_reason, evidence) ON public.rollout_proposal
    TO carecollective_web;
GRANT SELECT ON public.rollout_root_cause TO carecollective_web;
GRANT UPDATE (what, why, fix, who, due, filed_by_id, filed_by_label, filed_at) ON public.rollout_root_cause
    TO carecollective_web;
GRANT SELECT ON public.rollout_proposal, public.rollout_sign_off, public.rollout_root_cause TO carecollective_guard;
GRANT SELECT, INSERT ON public.rollout_drain_certificate TO carecollective_web, carecollective_guard;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.rollout_process TO carecollective_web, carecollective_guard;
"""

REVOKE = """
REVOKE ALL ON public.rollout_proposal, public.rollout_sign_off, public.rollout_root_cause,
    public.rollout_drain_certificate, public.rollout_process FROM carecollective_web, carecollective_guard;
"""


class Migration(migrations.Migration):
    dependencies = [("rollout", "0015_settle_once_and_rewrite_nothing")]

    operations = [migrations.RunSQL(GRANT, REVOKE)]
