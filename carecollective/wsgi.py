import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application
from django.db import OperationalError, connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "carecollective.settings")
os.environ.setdefault("ROLLOUT_SNAPSHOT", "thread")

# gunicorn takes this to mean that starting the worker again would not help.
APP_LOAD_ERROR = 4

application = get_wsgi_application()

from carecollective.core.database import refuse_shared_sessions  # noqa: E402 -- needs the applications to be loaded
from carecollective.postgres.errors import PostgresError  # noqa: E402
from carecollective.serving.startup_checks import refuse_unsafe_database  # noqa: E402
from rollout.targeting import snapshot  # noqa: E402

try:
    refuse_unsafe_database()
    refuse_shared_sessions()
except (ImproperlyConfigured, PostgresError) as problem:
    print(problem, file=sys.stderr, flush=True)
    sys.exit(APP_LOAD_ERROR)
except OperationalError:
    # A database that is away shows nobody anything: answer 503 until it is back.
    pass
finally:
    connection.close()

# At once: the control room counts every process that serves, also before its first request.
if settings.ROLLOUT_SNAPSHOT == "thread":
    snapshot.start()
