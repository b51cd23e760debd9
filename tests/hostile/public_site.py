"""The site as the public meets it: behind HTTPS, under a name of its own. Prints what a browser is told about each page."""

import json
import os
import sys

import django
from django.conf import settings

settings.DATABASES["default"] |= json.loads(os.environ["PUBLIC_DATABASE"])
django.setup()

from django.test import Client  # noqa: E402

PAGES = ["/requests", "/login", "/signup", "/help", "/api/docs", "/api/health", "/admin/login/", "/nothing", "/account"]

told = {}
for page in PAGES:
    answer = Client(HTTP_HOST="care.example").get(page, secure=True)
    cookies = {name: dict(morsel) for name, morsel in answer.cookies.items()}
    told[page] = {"status": answer.status_code, "headers": dict(answer.items()), "cookies": cookies}
plain = Client(HTTP_HOST="care.example").get("/requests?q=a")
told["plain"] = {"status": plain.status_code, "headers": dict(plain.items()), "cookies": {}}
json.dump(told, sys.stdout)
