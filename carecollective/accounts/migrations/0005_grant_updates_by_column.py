from django.db import migrations

FORWARDS = """
REVOKE UPDATE ON profiles FROM carecollective_web;
GRANT UPDATE (name, password, last_login, location, is_admin, is_active, is_superuser, verification_status, rejection_reason, approved_at, approved_by, signed_out_at)
  ON profiles TO carecollective_web;
REVOKE UPDATE ON messaging_preferences FROM carecollective_web;
GRANT UPDATE (email_notifications, quiet_hours_start, quiet_hours_end, updated_at)
  ON messaging_preferences TO carecollective_web;
REVOKE UPDATE ON django_session FROM carecollective_web;
GRANT UPDATE (session_data, expire_date)
  ON django_session TO carecollective_web;
REVOKE UPDATE ON axes_accessattempt FROM carecollective_web;
GRANT UPDATE (user_agent, ip_address, username, http_accept, path_info, attempt_time, get_data, post_data, failures_since_start)
  ON axes_accessattempt TO carecollective_web;
-- axes writes these three only with settings that are off here; what an earlier release wrote is read and pruned.
REVOKE INSERT, UPDATE ON axes_accessattemptexpiration, axes_accessfailurelog, axes_accesslog FROM carecollective_web;
REVOKE UPDATE ON knox_authtoken FROM carecollective_web;
"""

BACKWARDS = """
GRANT UPDATE ON knox_authtoken TO carecollective_web;
GRANT INSERT, UPDATE ON axes_accessattemptexpiration, axes_accessfailurelog, axes_accesslog TO carecollective_web;
REVOKE UPDATE ON profiles FROM carecollective_web;
GRANT UPDATE ON profiles TO carecollective_web;
REVOKE UPDATE ON messaging_preferences FROM carecollective_web;
GRANT UPDATE ON messaging_preferences TO carecollective_web;
REVOKE UPDATE ON django_session FROM carecollective_web;
GRANT UPDATE ON django_session TO carecollective_web;
REVOKE UPDATE ON axes_accessattempt FROM carecollective_web;
GRANT UPDATE ON axes_accessattempt TO carecollective_web;
"""


class Migration(migrations.Migration):
    """The web role changes the columns that the site changes, and no others."""

    dependencies = [("accounts", "0004_let_the_admin_log_only_grow")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
