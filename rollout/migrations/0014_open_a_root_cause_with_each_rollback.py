"""Whoever turned V2 off while members were using it, a person, the guard or somebody at the database's own prompt: the
form lies there from the same moment."""

from django.db import migrations

OPEN = """
CREATE FUNCTION public.rollout_open_root_cause() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO public.rollout_root_cause (change_id, what, why, fix, who, filed_by_label)
        VALUES (NEW.id, '', '', '', '', '');
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION public.rollout_open_root_cause() FROM PUBLIC;
CREATE TRIGGER rollout_change_open_root_cause AFTER INSERT ON public.rollout_change
    FOR EACH ROW WHEN (NEW.to_stage = 'disabled' AND NEW.from_stage <> 'disabled')
    EXECUTE FUNCTION public.rollout_open_root_cause();
"""

CLOSE = """
DROP TRIGGER rollout_change_open_root_cause ON public.rollout_change;
DROP FUNCTION public.rollout_open_root_cause();
"""


class Migration(migrations.Migration):
    dependencies = [("rollout", "0013_chain_the_record_by_hashes")]

    operations = [migrations.RunSQL(OPEN, CLOSE)]
