from django.db import migrations

TABLES = ("conversations", "conversation_participants", "messages")


class Migration(migrations.Migration):
    """The legacy policies are for everybody, our web role included, and believe whatever `request.jwt.claims` says.

    With that setting alone one could join any conversation. Nothing of ours sets it: where it is set, our role sees nothing.
    """

    dependencies = [("messaging_v1", "0002_let_our_web_role_act_for_its_member")]

    operations = [
        migrations.RunSQL(
            f"""
            CREATE POLICY carecollective_gate ON {table} AS RESTRICTIVE TO carecollective_web
              USING (NULLIF(current_setting('request.jwt.claims', true), '') IS NULL);
            """,
            f"DROP POLICY carecollective_gate ON {table};",
        )
        for table in TABLES
    ]
