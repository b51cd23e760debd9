"""Django without middleware and without any application beside the one that a peer needs."""

import os

from psycopg.conninfo import conninfo_to_dict

_url = conninfo_to_dict(os.environ["PEER_DATABASE_URL"])
SECRET_KEY = "not a secret: nothing is signed here"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["benchmarks.peers"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = os.environ["PEER_URLS"]
USE_TZ = True
TIME_ZONE = "UTC"  # the default is Chicago
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _url["dbname"],
        "USER": _url["user"],
        "PASSWORD": _url["password"],
        "HOST": _url["host"],
        "CONN_MAX_AGE": None,
    }
}
REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None, "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]}
