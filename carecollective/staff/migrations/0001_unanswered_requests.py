from django.db import migrations

from carecollective.core.sql_functions import load_function

FORWARDS = """
REVOKE EXECUTE ON FUNCTION public.staff_unanswered_requests() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.staff_unanswered_requests() TO carecollective_web;
GRANT CREATE ON SCHEMA public TO carecollective_ops;
ALTER FUNCTION public.staff_unanswered_requests() OWNER TO carecollective_ops;
REVOKE CREATE ON SCHEMA public FROM carecollective_ops;
"""


class Migration(migrations.Migration):
    """Staff see which requests nobody has answered."""

    dependencies = [
        ("help_requests", "0004_read_requests_past_legacy_policies"),
        ("messaging_v1", "0001_stand_on_the_legacy_tables"),
        ("messaging_v2", "0001_open_conversations_with_their_first_message"),
        ("moderation", "0002_show_staff_what_was_reported_and_no_more"),
    ]

    operations = [
        load_function("staff", "staff_unanswered_requests"),
        migrations.RunSQL(FORWARDS, "DROP FUNCTION public.staff_unanswered_requests();"),
    ]
