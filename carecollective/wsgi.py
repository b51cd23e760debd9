import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "carecollective.settings")
os.environ.setdefault("ROLLOUT_SNAPSHOT", "thread")

application = get_wsgi_application()
