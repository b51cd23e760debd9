"""What browsers are told: at least what Mozilla's Observatory gives 100 for, on every page."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from tests import databases
from tests.access.addresses import addresses
from tests.access.world import World
from tests.hostile.test_every_address import places

HALF_A_YEAR = 15_768_000


@pytest.fixture(scope="module")
def public(django_db_setup: None) -> dict[str, Any]:
    """The answers of a site with a public name, whose settings are made when its process starts."""
    database = {
        key: value for key, value in settings.DATABASES["default"].items() if key in ("NAME", "USER", "PASSWORD")
    }
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TEST_ALLOWED_HOSTS": "care.example",
        "TEST_CSRF_TRUSTED_ORIGINS": "https://care.example",
        "PUBLIC_DATABASE": json.dumps(database),
    }
    ran = subprocess.run(
        [sys.executable, "-m", "tests.hostile.public_site"],
        cwd=databases.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def directives(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (part.split() for part in policy.split(";") if part.strip())}


def test_every_public_page_earns_the_observatorys_hundred(public: dict[str, Any]) -> None:
    for page, answer in public.items():
        headers = answer["headers"]
        if page != "plain":
            policy = directives(headers["Content-Security-Policy"])
            assert policy["default-src"] == ["'none'"], page
            assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == ["'none'"], page
            assert policy["form-action"] == policy["script-src"] == policy["style-src"] == ["'self'"], page
            assert not re.search(r"unsafe|\*|http:|https:|blob:", headers["Content-Security-Policy"]), page
            assert "data:" not in " ".join(policy["script-src"] + policy["style-src"] + policy["connect-src"]), page
            assert headers["Permissions-Policy"], page
        # Alone: names below the site's, and browsers' built-in lists, are the operator's to decide about.
        hsts = headers["Strict-Transport-Security"] if page != "plain" else f"max-age={HALF_A_YEAR}"
        age = re.fullmatch(r"max-age=(\d+)", hsts)
        assert age, page
        assert int(age[1]) >= HALF_A_YEAR, page
        assert headers["X-Content-Type-Options"] == "nosniff", page
        assert headers["Referrer-Policy"] in ("same-origin", "no-referrer", "strict-origin-when-cross-origin"), page
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", page
        assert "Access-Control-Allow-Origin" not in headers, page
        if page != "plain":
            assert headers["X-Frame-Options"] == "DENY", page


def test_plain_http_is_led_to_the_same_page_by_https(public: dict[str, Any]) -> None:
    assert public["plain"]["status"] == 301
    assert public["plain"]["headers"]["Location"] == "https://care.example/requests?q=a"


def test_every_cookie_of_a_public_site_is_secure_and_stays_at_home(public: dict[str, Any]) -> None:
    cookies = [(page, name, morsel) for page, answer in public.items() for name, morsel in answer["cookies"].items()]
    assert cookies
    for page, name, morsel in cookies:
        assert morsel["secure"], (page, name)
        assert morsel["samesite"] in ("Lax", "Strict"), (page, name)
        assert not morsel["domain"], (page, name)


def test_the_session_cookie_is_secure_httponly_and_samesite(
    public: dict[str, Any],
) -> None:
    assert public["signed in"]["status"] == 302
    session = public["signed in"]["cookies"]["sessionid"]
    assert session["secure"]
    assert session["httponly"]
    assert session["samesite"] in ("Lax", "Strict")


def test_no_private_answer_is_kept_by_anybody(world: World, signed_in: Any) -> None:
    browser = signed_in(world.helper)
    public = {"schema", "messages"}
    for address, path in places(world, is_admin=False):
        answer = browser.get(path)
        assert "no-store" in answer["Cache-Control"] or address.name == "schema" or address.name == "api-messages", path
        assert "public" not in answer["Cache-Control"] or address.name in public, path
    staff = signed_in(world.superuser)
    for _address, path in places(world, is_admin=True):
        assert re.search("no-store|no-cache", staff.get(path)["Cache-Control"]), path


def test_every_answer_is_framed_sniffed_and_scripted_by_nobody(world: World, signed_in: Any) -> None:
    for person, is_admin in (("helper", False), ("superuser", True)):
        browser: Client = signed_in(getattr(world, person))
        for _address, path in places(world, is_admin=is_admin):
            answer = browser.get(path)
            assert answer["X-Frame-Options"] == "DENY", path
            assert answer["X-Content-Type-Options"] == "nosniff", path
            assert "unsafe" not in answer["Content-Security-Policy"], path
            assert answer["Referrer-Policy"], path
    assert len(addresses()) > 50
