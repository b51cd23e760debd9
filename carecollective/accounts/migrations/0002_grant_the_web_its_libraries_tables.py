from django.db import migrations

READ_AND_WRITE = "django_session, django_admin_log, knox_authtoken, axes_accessattempt, axes_accesslog, axes_accessfailurelog, axes_accessattemptexpiration"
READ = "django_content_type, auth_group, auth_permission, auth_group_permissions, django_migrations"


class Migration(migrations.Migration):
    """What the web role may do with the tables of Django, knox and axes. Our own tables say it in their own migrations."""

    dependencies = [
        ("accounts", "0001_take_over_profiles"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("axes", "__latest__"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("knox", "__latest__"),
        ("sessions", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(
            f"""
            GRANT SELECT, INSERT, UPDATE, DELETE ON {READ_AND_WRITE} TO carecollective_web;
            GRANT SELECT ON {READ} TO carecollective_web;
            """,
            f"REVOKE ALL ON {READ_AND_WRITE}, {READ} FROM carecollective_web;",
        ),
    ]
