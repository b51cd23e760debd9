from django.db import migrations

REFUSE = """
CREATE FUNCTION public.rollout_refuse_rewriting() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'The record of changes is only ever added to.' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER rollout_change_refuse_rewriting BEFORE UPDATE OR DELETE ON public.rollout_change
    FOR EACH ROW EXECUTE FUNCTION public.rollout_refuse_rewriting();
CREATE TRIGGER rollout_change_refuse_emptying BEFORE TRUNCATE ON public.rollout_change
    FOR EACH STATEMENT EXECUTE FUNCTION public.rollout_refuse_rewriting();
"""

ALLOW = """
DROP TRIGGER rollout_change_refuse_emptying ON public.rollout_change;
DROP TRIGGER rollout_change_refuse_rewriting ON public.rollout_change;
DROP FUNCTION public.rollout_refuse_rewriting();
"""


class Migration(migrations.Migration):
    dependencies = [("rollout", "0004_number_and_record_every_change")]

    operations = [migrations.RunSQL(REFUSE, ALLOW)]
