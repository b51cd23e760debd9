"""A value that cannot be read stops the start with one sentence that names its variable; what can be is taken."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

# Each in its turn in one process: the first import is what takes the time.
READ = """
import importlib, json, os, sys
from django.core.exceptions import ImproperlyConfigured
import carecollective.settings as settings
before, answers = dict(os.environ), []
for given in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(before | given)
    try:
        importlib.reload(settings)
    except ImproperlyConfigured as refusal:
        answers.append(str(refusal))
    else:
        hsts = [settings.SECURE_HSTS_INCLUDE_SUBDOMAINS, settings.SECURE_HSTS_PRELOAD]
        database = settings.DATABASES["default"]
        hosts = [database["HOST"], database.get("DIRECT", {}).get("HOST")]
        answers.append({"address": settings.SITE_ADDRESS, "hsts": hsts, "hosts": hosts})
print(json.dumps(answers))
"""
REFUSED = [
    ("SENTRY_DSN", "https://example.org"),
    ("EMAIL_TIMEOUT", "soon"),
    ("EMAIL_TIMEOUT", "0"),
    ("EMAIL_URL", "mail.example.org"),
    ("ALLOWED_HOSTS", "https://care.example/"),
    ("ALLOWED_HOSTS", "care example"),
    ("ALLOWED_HOSTS", "care.example:8000"),
    ("CSRF_TRUSTED_ORIGINS", "https://care.example/path"),
    ("CSRF_TRUSTED_ORIGINS", "care.example"),
    ("HSTS_INCLUDE_SUBDOMAINS", "yes please"),
    ("HSTS_PRELOAD", "true"),
    ("TRUSTED_PROXIES", "11"),
    ("TRUSTED_PROXIES", "-1"),
    ("TRUSTED_PROXIES", "10.0.0.0/8 and more"),
    ("TRUSTED_PROXIES", "proxy.example"),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("BIND", "everywhere"),
    ("BIND", "127.0.0.1:8000"),
    ("DATABASE_DIRECT_URL", "db.example:5432"),
]
TAKEN: list[tuple[dict[str, str], str]] = [
    ({}, "http://127.0.0.1:8123"),
    ({"ALLOWED_HOSTS": "care.example, other.example"}, "https://care.example"),
    ({"ALLOWED_HOSTS": ".care.example,www.care.example"}, "https://www.care.example"),
    (
        {"ALLOWED_HOSTS": "care.example", "CSRF_TRUSTED_ORIGINS": "https://*.care.example,https://help.example:444"},
        "https://help.example:444",
    ),
    ({"ALLOWED_HOSTS": "*, 192.0.2.7, [2001:db8::7]"}, "https://192.0.2.7"),
    ({"CSRF_TRUSTED_ORIGINS": "http://192.0.2.7:8000,https://[2001:db8::7]:444"}, "http://192.0.2.7:8000"),
    ({"TRUSTED_PROXIES": "3", "BIND": "0.0.0.0"}, "http://127.0.0.1:8123"),
    ({"TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8,2001:db8::/32", "BIND": "[::1]"}, "http://127.0.0.1:8123"),
    ({"SENTRY_DSN": "https://key@sentry.example/1"}, "http://127.0.0.1:8123"),
]
PUBLIC = {"ALLOWED_HOSTS": "care.example"}
HSTS: list[tuple[dict[str, str], list[bool]]] = [
    (PUBLIC, [False, False]),
    (PUBLIC | {"HSTS_INCLUDE_SUBDOMAINS": "true"}, [True, False]),
    (PUBLIC | {"HSTS_INCLUDE_SUBDOMAINS": "on", "HSTS_PRELOAD": "on"}, [True, True]),
    (PUBLIC | {"HSTS_INCLUDE_SUBDOMAINS": "off", "HSTS_PRELOAD": "off"}, [False, False]),
]

BEHIND_A_POOLER = {
    "DATABASE_URL": "postgresql://boss:secret@pooler.example:6432/care",
    "DATABASE_DIRECT_URL": "postgresql://boss:secret@db.example/care",
    "DJANGO_SECRET_KEY": "long and random",
}
ROLES: dict[str, list[str | None]] = {
    "web": ["pooler.example", "db.example"],
    "owner": ["db.example", None],
    "ops": ["db.example", None],
    "guard": ["db.example", None],
}
HOSTS_OF_ROLES = [(BEHIND_A_POOLER | {"DATABASE_ROLE": role}, hosts) for role, hosts in ROLES.items()]


@pytest.fixture(scope="module")
def answers() -> Any:
    names = (
        "DATABASE_DIRECT_URL",
        "DATABASE_URL",
        "SENTRY_DSN",
        "ALLOWED_HOSTS",
        "CSRF_TRUSTED_ORIGINS",
        "HSTS_INCLUDE_SUBDOMAINS",
        "HSTS_PRELOAD",
    )
    plain = {"PORT": "8123"} | dict.fromkeys(names, "")
    asked = [plain | {name: value} for name, value in REFUSED]
    asked += [plain | given for given, _answer in (*TAKEN, *HSTS, *HOSTS_OF_ROLES)]
    ran = subprocess.run(
        [sys.executable, "-c", READ],
        env=os.environ | plain,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout)


def test_what_cannot_be_read_is_named(answers: Any) -> None:
    assert [answer.partition(" must be")[0] for answer in answers[: len(REFUSED)]] == [name for name, _value in REFUSED]


def test_the_sites_own_address_is_what_its_settings_say(answers: Any) -> None:
    taken = answers[len(REFUSED) : len(REFUSED) + len(TAKEN)]
    assert [answer["address"] for answer in taken] == [address for _given, address in TAKEN]


def test_what_hsts_covers_is_the_operators_to_say(answers: Any) -> None:
    found = answers[len(REFUSED) + len(TAKEN) :][: len(HSTS)]
    assert [answer["hsts"] for answer in found] == [hsts for _given, hsts in HSTS]


def test_only_the_web_role_goes_through_a_pooler(answers: Any) -> None:
    found = [answer["hosts"] for answer in answers[-len(HOSTS_OF_ROLES) :]]
    assert found == [hosts for _given, hosts in HOSTS_OF_ROLES]
