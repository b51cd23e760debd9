"""The site as the public meets it: behind HTTPS, under a name of its own. Prints what a browser is told about each page."""

import json
import os
import sys

import django
from django.conf import settings

settings.DATABASES["default"] |= json.loads(os.environ["PUBLIC_DATABASE"])
django.setup()

from django.db import transaction  # noqa: E402
from django.test import Client  # noqa: E402

from tests.factories import UserFactory  # noqa: E402

PAGES = ["/requests", "/login", "/signup", "/help", "/api/docs", "/api/health", "/admin/login/", "/nothing", "/account"]

told = {}


def tell(name, answer):
    cookies = {name: dict(morsel) for name, morsel in answer.cookies.items()}
    told[name] = {"status": answer.status_code, "headers": dict(answer.items()), "cookies": cookies}


for page in PAGES:
    tell(page, Client(HTTP_HOST="care.example").get(page, secure=True))
with transaction.atomic():
    UserFactory.create(email="ada@example.org", set_password="correct horse battery")
    browser = Client(HTTP_HOST="care.example", enforce_csrf_checks=True)
    browser.get("/login", secure=True)
    form = {
        "email": "ada@example.org",
        "password": "correct horse battery",
        "csrfmiddlewaretoken": browser.cookies["csrftoken"].value,
    }
    tell("signed in", browser.post("/login", form, secure=True, headers={"Referer": "https://care.example/login"}))
    transaction.set_rollback(True)
plain = Client(HTTP_HOST="care.example").get("/requests?q=a")
told["plain"] = {"status": plain.status_code, "headers": dict(plain.items()), "cookies": {}}
json.dump(told, sys.stdout)
