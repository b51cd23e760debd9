"""What holds for every page: nothing inline, nothing foreign, and an error page that needs no database."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import Client

OURS = [
    path
    for path in sorted((Path(settings.BASE_DIR) / "templates").rglob("*.html"))
    if not {"admin", "api", "mail"}.intersection(path.parts)
]
FORBIDDEN = {
    "an inline script": r"<script(?![^>]*\b(?:src=|type=\"application/json\"))",
    "an inline style": r"<style|\sstyle=",
    "an inline handler": r"\son[a-z]+=",
    "an address of another site": r"(?:src|href)=\"(?:https?:)?//",
    "unescaped text": r"\|\s*safe\b|autoescape\s+off|mark_safe",
}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_template_holds_what_the_policy_forbids(path, what):
    assert not re.search(FORBIDDEN[what], path.read_text())


def test_no_script_turns_text_into_markup():
    for path in (Path(settings.BASE_DIR) / "static" / "js").glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text()), path


def test_nothing_moves_with_reduced_motion():
    static = Path(settings.BASE_DIR) / "static"
    allowed = re.compile(r"@media \(prefers-reduced-motion: no-preference\) \{(?:[^{}]*\{[^{}]*\})*\s*\}")
    sheets = [path.read_text() for path in static.rglob("*.css")]
    assert any(allowed.search(sheet) for sheet in sheets)
    for sheet in sheets:
        assert not re.search(r"scroll-behavior|transition|animation|@keyframes", allowed.sub("", sheet))
    for path in static.rglob("*.js"):
        assert not re.search(r"smooth|\.animate\(", path.read_text()), path


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/requests", "/login", "/signup", "/help", "/logout", "/nowhere"])
def test_the_policy_for_content_is_strict_on_every_page(visitor, address):
    policy = visitor.get(address)["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_database_that_is_away_is_a_page_that_says_so(monkeypatch):
    """Neither the page nor its navigation may ask the database, which this test has not got."""

    def away(*args, **kwargs):
        raise OperationalError("connection refused")

    monkeypatch.setattr("carecollective.help_requests.selectors.list_requests", away)
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "a-session-that-nobody-can-look-up"
    response = client.get("/requests")
    page = response.content.decode()
    assert response.status_code == 503
    assert response["Retry-After"]
    assert "back in a moment" in page
    assert "connection refused" not in page


def test_a_fault_of_ours_shows_its_id_and_no_trace(monkeypatch):
    def fail(*args, **kwargs):
        raise ZeroDivisionError("a secret of ours")

    monkeypatch.setattr("carecollective.help_requests.selectors.list_requests", fail)
    response = Client(raise_request_exception=False).get("/requests")
    page = response.content.decode()
    assert response.status_code == 500
    assert response["X-Request-ID"] in page
    assert "secret" not in page
    assert "Traceback" not in page
