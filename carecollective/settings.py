"""All configuration, from the environment or `.env`. A value that cannot be read stops the start with one sentence."""

import os
from pathlib import Path
from typing import Any

import environ
from corsheaders.defaults import default_headers
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from carecollective.accounts.allauth.settings import *  # noqa: F403 -- Django and allauth read them
from carecollective.accounts.sign_in.axes_settings import *  # noqa: F403 -- and axes these
from carecollective.env import (
    NO_PROXIES,
    addresses,
    age_recipients,
    bind_address,
    database_address,
    exact_origins,
    hosts,
    is_one_host,
    mail_server,
    networks,
    on_or_off,
    one_address,
    one_host,
    one_of,
    origins,
    proxies,
    read,
    sentry_address,
    share_of_one,
    web_address,
    whole_number,
)
from carecollective.observability import logging, sentry
from carecollective.postgres.dsn import (
    check_direct_url,
    connection_url,
    database_settings,
    derived_url,
    pooled_settings,
)
from carecollective.postgres.embedded.credentials import secret_key
from carecollective.web.api_settings import REST_FRAMEWORK, REST_KNOX, SPECTACULAR_SETTINGS  # noqa: F401 -- Django reads them
from carecollective.web.rendering.page_settings import (  # noqa: F401 -- Django reads them
    CONTEXT_PROCESSORS,
    FORM_RENDERER,
    TEMPLATE_BUILTINS,
    USE_I18N,
)
from carecollective.web.server_limits import BODY_BYTES
from rollout.stages import Stage

BASE_DIR = Path(__file__).resolve().parent.parent

environ.Env.read_env(BASE_DIR / ".env")


def _absolute_path(raw: str) -> Path:
    return (BASE_DIR / Path(raw).expanduser()).absolute()


# Where the data lives

DATA_DIR = read("DATA_DIR", BASE_DIR / ".data", _absolute_path, "a folder")
DATABASE_URL = read("DATABASE_URL", "", database_address, "postgresql://user:password@host:port/database")
LOCAL_MODE = not DATABASE_URL
# PostgreSQL itself, where DATABASE_URL leads through a pooler.
DATABASE_DIRECT_URL = read("DATABASE_DIRECT_URL", "", database_address, "postgresql://user:password@host:port/database")
if DATABASE_DIRECT_URL:
    check_direct_url(DATABASE_URL, DATABASE_DIRECT_URL)

DEBUG = read("DEBUG", False, on_or_off, "true or false")
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "").strip()
if not SECRET_KEY:
    if not LOCAL_MODE and not DEBUG:
        raise ImproperlyConfigured("DJANGO_SECRET_KEY must be set to a long random text when DATABASE_URL is set.")
    SECRET_KEY = secret_key(DATA_DIR)

DATABASE_ROLE = os.environ.get("DATABASE_ROLE", "web")


def role_url(role: str) -> str:
    """Return the URL of PostgreSQL for a database role (owner, web, ops or guard), past any pooler."""
    if LOCAL_MODE:
        return connection_url(DATA_DIR, role)
    return derived_url(DATABASE_DIRECT_URL or DATABASE_URL, role, SECRET_KEY)


DATABASES = {
    # A thread keeps its connection: when somebody else has taken all others, it still serves.
    "default": {**database_settings(role_url(DATABASE_ROLE)), "CONN_HEALTH_CHECKS": True, "CONN_MAX_AGE": None}
}
if DATABASE_DIRECT_URL and DATABASE_ROLE == "web":
    pooled_url = derived_url(DATABASE_URL, "web", SECRET_KEY)
    DATABASES["default"] |= pooled_settings(pooled_url, role_url("web"))
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Serving

PORT = read("PORT", 8000, whole_number(1, 65535), "a port from 1 to 65535")
WEB_CONCURRENCY = read("WEB_CONCURRENCY", 2, whole_number(1, 64), "a number of workers from 1 to 64")
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS: list[str] = [*read("ALLOWED_HOSTS", list[str](), hosts, "host names with commas between"), *LOOPBACK]
CSRF_TRUSTED_ORIGINS: list[str] = read(
    "CSRF_TRUSTED_ORIGINS", list[str](), origins, "origins such as https://care.example with commas between"
)
BIND = read("BIND", "127.0.0.1", bind_address, "an IP address of this machine, or 0.0.0.0 for all of them")
# Scripts of these origins may call the API, with a token: their cookies are never accepted.
CORS_ALLOWED_ORIGINS: list[str] = read(
    "CORS_ALLOWED_ORIGINS", list[str](), exact_origins, "origins such as https://app.example with commas between"
)
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = (*default_headers, "if-none-match", "x-request-id")
CORS_EXPOSE_HEADERS = ("ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID")
TRUSTED_PROXIES = read(
    "TRUSTED_PROXIES",
    NO_PROXIES,
    proxies,
    "addresses and networks of proxies with commas between, or their number from 0 to 10",
)
# A site with a public name speaks HTTPS; one on this machine alone cannot.
HTTPS = ALLOWED_HOSTS != LOOPBACK
# Links in mail lead here, never to the host that a request names.
SITE_ADDRESS = next(
    (
        address
        for address in (*CSRF_TRUSTED_ORIGINS, *(f"https://{host}" for host in ALLOWED_HOSTS[:-3]))
        if is_one_host(address)
    ),
    f"http://127.0.0.1:{PORT}",
)

ROOT_URLCONF = "carecollective.urls"
WSGI_APPLICATION = "carecollective.wsgi.application"
APPEND_SLASH = False
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_ALLOW_ALL_ORIGINS = False
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "carecollective.web.rendering.static_storage.HashedModulesStorage"},
}

# What the product does

CONVERSATIONS_PER_HOUR = read("CONVERSATIONS_PER_HOUR", 10, whole_number(1, 1_000_000), "a whole number from 1")
MESSAGES_PER_MINUTE = read("MESSAGES_PER_MINUTE", 50, whole_number(1, 1_000_000), "a whole number from 1")
# Per IP address, which a whole community centre may share: docs/decisions/0028-rate-limits-by-address.md
FAILED_SIGN_INS_PER_10_MINUTES = read(
    "FAILED_SIGN_INS_PER_10_MINUTES", 50, whole_number(1, 1_000_000), "a whole number from 1"
)
SIGN_UPS_PER_HOUR = read("SIGN_UPS_PER_HOUR", 60, whole_number(1, 1_000_000), "a whole number from 1")
MESSAGING_V2_ROLLOUT: Stage | None = read(
    "MESSAGING_V2_ROLLOUT", None, Stage.parse, "disabled, internal, percentage:N (0.1 to 100) or enabled"
)
# How long after the first unread word a mail goes.
MAIL_DELAY_SECONDS = read("MAIL_DELAY_SECONDS", 300, whole_number(0, 86_400), "a number of seconds from 0 to 86400")
# Mail to this domain is piped to `manage.py receive_mail`: then members answer by replying. Unset: they do not.
REPLY_DOMAIN = read("REPLY_DOMAIN", "", one_host, "a domain such as reply.care.example")
SLACK_WEBHOOK_URL = read("SLACK_WEBHOOK_URL", "", web_address, "a web address")
ALERT_WEBHOOK_URL = read("ALERT_WEBHOOK_URL", "", web_address, "a web address")
ALERT_EMAILS = read("ALERT_EMAILS", list[str](), addresses, "e-mail addresses with commas between")
SENTRY_DSN = read("SENTRY_DSN", "", sentry_address, "a Sentry address (https://key@host/project)")
# "thread": a background thread keeps a copy of the rollout's state, for web servers. "query": read at each call, for commands.
ROLLOUT_SNAPSHOT = os.environ.get("ROLLOUT_SNAPSHOT", "query")
# "thread": a background thread writes events. "direct": each is written at once, for commands.
ROLLOUT_EVENTS = os.environ.get("ROLLOUT_EVENTS", "thread" if ROLLOUT_SNAPSHOT == "thread" else "direct")
RELEASE = read("RELEASE", "", str, "a name")
# The confidence level of the gates; each result records it.
ROLLOUT_CONFIDENCE = read("ROLLOUT_CONFIDENCE", 0.95, share_of_one, "a share such as 0.95")
EVENTS_RETENTION_DAYS = read("EVENTS_RETENTION_DAYS", 30, whole_number(1, 3650), "a number of days from 1")
BACKUP_DIR = read("BACKUP_DIR", DATA_DIR / "backups", _absolute_path, "a folder")
BACKUPS_KEPT = read("BACKUPS_KEPT", 7, whole_number(1, 1000), "a number of backups from 1")
# How often the worker restores the newest backup as a drill; 0 for never.
RESTORE_DRILL_DAYS = read("RESTORE_DRILL_DAYS", 7, whole_number(0, 365), "a number of days up to 365, or 0")
# Backups are encrypted for these keys. Only a host that restores or drills needs the secret key.
BACKUP_RECIPIENT = read(
    "BACKUP_RECIPIENT", list[Any](), age_recipients, "public keys of age (age1…) with commas between"
)
BACKUP_IDENTITY_FILE = read("BACKUP_IDENTITY_FILE", None, _absolute_path, "a file")
EXPORTS_KEPT_DAYS = read("EXPORTS_KEPT_DAYS", 7, whole_number(1, 365), "a number of days from 1")
METRICS_TOKEN = os.environ.get("METRICS_TOKEN", "").strip()
METRICS_ALLOW = read(
    "METRICS_ALLOW", networks("127.0.0.0/8, ::1") if LOCAL_MODE else [], networks, "networks such as 10.0.0.0/8"
)
# All that the worker does: a function, and the seconds from the end of one run to the next.
WORKER_TASKS = (
    # Members and their requests
    ("carecollective.takeover.services.expire_requests_once_taken_over", 60),
    ("carecollective.accounts.services.prune_sessions_and_tokens", 3600),
    ("carecollective.core.rate_limits.prune_hits", 600),
    # Mail
    ("carecollective.inbox.notifications.queue.queue_waiting", 5),
    ("carecollective.inbox.notifications.requests.queue_status_changes", 10),
    ("carecollective.inbox.notifications.requests.queue_expiring", 600),
    ("carecollective.accounts.letters.staff.queue_applicants_waiting", 60),
    ("carecollective.moderation.staff_mail.queue_reports_waiting", 60),
    ("carecollective.contact.services.queue_messages_waiting", 60),
    ("carecollective.mail.delivery.send_waiting", 5),
    ("carecollective.mail.delivery.prune_mail", 3600),
    ("carecollective.mail.file_backend.prune_files", 3600),
    # Members' data
    ("carecollective.privacy.exports.prepare_waiting", 2),
    ("carecollective.privacy.exports.prune_exports", 3600),
    ("carecollective.privacy.erasure.sweep", 30),
    ("carecollective.privacy.erasure.keep_ledger", 300),
    ("carecollective.privacy.retention.prune_failed_sign_ins", 3600),
    # Backups
    ("carecollective.operations.backups.dumps.prune_backups", 3600),
    ("carecollective.operations.backups.scratch.prune_scratch_databases", 3600),
    ("carecollective.operations.backups.drills.run_due_drill", 600),
    # The rollout
    ("rollout.guard.mail_watch.check_mail", 30),
    ("rollout.telemetry.retention.prune_events", 3600),
    ("carecollective.contact.services.prune_messages", 3600),
    ("rollout.guard.change_alerts.note_changes", 5),
    ("rollout.guard.absence.check_guard", 5),
    ("rollout.alerts.notifications.deliver_waiting", 5),
    ("rollout.promotion.rollbacks.finish", 2),
    ("rollout.guard.v1_trial.try_v1", 5),
)
# Seconds after which a task counts as stuck, where it may run longer than others.
WORKER_TASK_LIMITS = {"carecollective.operations.backups.drills.run_due_drill": 6 * 3600.0}

INSTALLED_APPS = [
    "rollout",
    "messaging_v1",
    "messaging_v2",
    "carecollective.takeover",
    "carecollective.privacy",
    "carecollective.staff",
    "carecollective.moderation",
    "carecollective.operations",
    "carecollective.inbox",
    "carecollective.safety",
    "carecollective.contact",
    "carecollective.help_requests",
    "carecollective.accounts",
    "carecollective.mail",
    "carecollective.serving",
    "carecollective.core",
    "carecollective.postgres",
    "carecollective.web.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "axes",
    "corsheaders",
    "csp",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "rest_framework",
    "waffle",
]

MIDDLEWARE = [
    "carecollective.web.middleware.RequestIdMiddleware",
    "carecollective.web.middleware.AccessMiddleware",
    "carecollective.web.middleware.SpeculativeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "carecollective.web.middleware.PolicyMiddleware",
    "carecollective.web.middleware.PrivacyHeadersMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "carecollective.web.middleware.CorsMiddleware",
    "carecollective.web.middleware.ServerRefusalMiddleware",
    "carecollective.web.middleware.TrailingSlashMiddleware",
    "carecollective.web.middleware.ReservedThreadsMiddleware",
    "carecollective.accounts.sign_in.middleware.SessionMiddleware",
    "carecollective.web.middleware.HostMiddleware",
    "carecollective.web.middleware.ControlCharactersMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "carecollective.accounts.sign_in.middleware.AuthenticationMiddleware",
    "carecollective.accounts.sign_in.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "carecollective.accounts.sign_in.middleware.SlidingSessionMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {"builtins": TEMPLATE_BUILTINS, "context_processors": CONTEXT_PROCESSORS},
    }
]

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "carecollective.formats"
TIME_ZONE = "UTC"
USE_TZ = True

# Who is signed in

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesBackend",
    # Sessions name it by this path: another path would sign everybody out.
    "carecollective.accounts.authentication.LimitedBackend",
    # Never asked to authenticate, since LimitedBackend decides. Older sessions name it.
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "name")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
PASSWORD_HASHERS = [
    "carecollective.accounts.sign_in.hashers.BoundedArgon2Hasher",
    "carecollective.accounts.sign_in.hashers.LegacyBcryptHasher",
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "requests"
LOGOUT_REDIRECT_URL = "requests"
# Since the session was last used.
SESSION_COOKIE_AGE = 30 * 24 * 3600
STAFF_SESSION_SECONDS = 12 * 3600
SESSION_ENGINE = "carecollective.accounts.sign_in.sessions"
# Whether the staff site opens without a second factor: an app's code, a recovery code or a passkey.
STAFF_MFA = read("STAFF_MFA", "optional", one_of("optional", "required"), "optional or required")

# What the browser may do

CSRF_FAILURE_VIEW = "carecollective.web.views.csrf_failed"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^api/health(/live)?$", r"^metrics$"]
SECURE_HSTS_SECONDS = 2 * 365 * 24 * 3600 if HTTPS else 0
# The operator decides: other sites under the same name may not speak HTTPS, and preload lists last for years.
SECURE_HSTS_INCLUDE_SUBDOMAINS = read("HSTS_INCLUDE_SUBDOMAINS", False, on_or_off, "true or false")
SECURE_HSTS_PRELOAD = read("HSTS_PRELOAD", False, on_or_off, "true or false")
if SECURE_HSTS_PRELOAD and not SECURE_HSTS_INCLUDE_SUBDOMAINS:
    raise ImproperlyConfigured(
        "HSTS_PRELOAD must be off while HSTS_INCLUDE_SUBDOMAINS is: browsers' lists take only both."
    )
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # they ask for the two above
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_BYTES

# The rollout's flag

WAFFLE_FLAG_MODEL = "rollout.Flag"
WAFFLE_CREATE_MISSING_FLAGS = False

# In how many of a hundred calls a statement by hand is compared with the ORM.
SHADOW_COMPARISON = read("SHADOW_COMPARISON", 0, whole_number(0, 100), "a whole number from 0 to 100")

# What leaves the process

LOGGING = logging.configuration()

# Without EMAIL_URL each mail is written to a file and not sent.
vars().update(
    read("EMAIL_URL", dict[str, Any](), mail_server, "a mail server such as smtp+tls://user:password@host:587")
)
SENDS_MAIL = bool(os.environ.get("EMAIL_URL", "").strip())
if not SENDS_MAIL:
    EMAIL_BACKEND = "carecollective.mail.file_backend.FileBackend"
# Set with a mail server too, so that older files are still pruned.
EMAIL_FILE_PATH = DATA_DIR / "mail"
EMAIL_TIMEOUT = read("EMAIL_TIMEOUT", 10, whole_number(1, 300), "a number of seconds from 1 to 300")
DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL", "").strip() or "Care Collective <no-reply@localhost>"
# Where answers to our mail go: a mailbox that somebody reads.
CONTACT_EMAIL = read("CONTACT_EMAIL", DEFAULT_FROM_EMAIL, one_address, "one e-mail address")

if SENTRY_DSN:
    sentry.start(SENTRY_DSN)
