"""The real settings on a server and a database of the tests' own, whatever the environment or `.env` say."""

import os


def _database_of_this_process() -> str:
    """Name it after the process, so that two runs and two workers keep out of each other's way; children inherit it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if os.environ.get("TEST_DATABASE_OF") != worker:
        os.environ |= {"TEST_DATABASE_OF": worker, "TEST_DATABASE": f"test_{os.getpid()}"}
    return os.environ["TEST_DATABASE"]


DATABASE = _database_of_this_process()

for name in (
    "ALERT_EMAILS",
    "ALERT_WEBHOOK_URL",
    "ALLOWED_HOSTS",
    "BACKUP_IDENTITY_FILE",
    "BACKUP_RECIPIENT",
    "BIND",
    "CONTACT_EMAIL",
    "CONVERSATIONS_PER_HOUR",
    "CSRF_TRUSTED_ORIGINS",
    "DATABASE_DIRECT_URL",
    "DATABASE_URL",
    "DEBUG",
    "DJANGO_SECRET_KEY",
    "EMAIL_TIMEOUT",
    "EMAIL_URL",
    "FAILED_SIGN_INS_PER_10_MINUTES",
    "HSTS_INCLUDE_SUBDOMAINS",
    "HSTS_PRELOAD",
    "MAIL_DELAY_SECONDS",
    "MESSAGES_PER_MINUTE",
    "MESSAGING_V2_ROLLOUT",
    "REPLY_DOMAIN",
    "SENTRY_DSN",
    "SIGN_UPS_PER_HOUR",
    "SLACK_WEBHOOK_URL",
    "STAFF_MFA",
    "TRUSTED_PROXIES",
):
    os.environ[name] = os.environ.get(f"TEST_{name}", "")
os.environ["DATA_DIR"] = os.environ.get("TEST_DATA_DIR", ".data/tests")

from carecollective.settings import *  # noqa: E402, F403
from carecollective.settings import DATA_DIR, DATABASES  # noqa: E402

# The ledger of erased members stands there: those of another run, under the same ids, must not be erased in this one.
BACKUP_DIR = DATA_DIR / "backups" / DATABASE

# Tests sign in as the superuser and act as the web role: `beyond_policies` steps out for what only the legacy system did.
DATABASES["default"] |= {
    "NAME": DATABASE,
    "CONN_MAX_AGE": 0,
    "TEST": {"NAME": DATABASE},
}
DATABASES["default"]["OPTIONS"] = {**DATABASES["default"]["OPTIONS"], "options": "-c role=carecollective_web"}

if not os.environ["EMAIL_URL"]:
    EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# A site that a browser visits serves what `serve` would collect; within the tests' own process there is nothing to collect.
if os.environ.get("TEST_STATIC_FILES") != "collected":
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = True
ROLLOUT_SNAPSHOT = os.environ.get("TEST_ROLLOUT_SNAPSHOT", "query")
CONVERSATIONS_PER_HOUR = int(os.environ.get("CONVERSATIONS_PER_HOUR") or 1000)
FAILED_SIGN_INS_PER_10_MINUTES = SIGN_UPS_PER_HOUR = 1000
MESSAGES_PER_MINUTE = int(os.environ.get("MESSAGES_PER_MINUTE") or 1000)
