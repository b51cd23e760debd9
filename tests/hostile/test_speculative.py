"""HEAD, and a browser that fetches in advance, change nothing: at every address, in every table, in no cookie."""

import io
import logging
import re
from typing import Any, cast

import pytest
from django.conf import settings
from django.core import mail
from django.core.wsgi import get_wsgi_application
from django.test import Client

from carecollective.accounts.sign_in.passwords import send_password_link
from carecollective.inbox.selectors import list_conversations
from carecollective.mail.delivery import send_waiting
from carecollective.privacy.exports import prepare_waiting, request_export
from tests.access.world import World
from tests.hostile.test_every_address import places
from tests.sessions import give_session

ASKING = {
    "HEAD": ("HEAD", {}),
    "Purpose": ("GET", {"Purpose": "prefetch"}),
    "Sec-Purpose": ("GET", {"Sec-Purpose": "prefetch"}),
    "prerender": ("GET", {"Sec-Purpose": "prefetch;prerender"}),
    "X-Moz": ("GET", {"X-Moz": "prefetch"}),
}
VOLATILE = ("X-Request-ID", "Set-Cookie", "Content-Length", "Expires")


@pytest.fixture
def contents(beyond_policies: Any) -> Any:
    """Return a digest of the rows of each table."""

    def read() -> dict[str, str]:
        with beyond_policies() as cursor:
            cursor.execute("SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY relname")
            tables = [name for (name,) in cursor.fetchall()]
            found = {}
            for name in tables:
                cursor.execute(
                    f"SELECT count(*) || md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) FROM \"{name}\" t"
                )
                (found[name],) = cursor.fetchone()
        return found

    return read


@pytest.fixture
def paths(world: World, stage: Any) -> dict[str, list[str]]:
    """Every page and call, with all that is there to be read, a finished export and a link to choose a password."""
    export = request_export(actor=world.owner)
    prepare_waiting()
    mail.outbox.clear()
    send_password_link(actor=world.superuser, member_id=world.owner.pk)
    send_waiting()
    link = re.search(r"/password\?\S+", str(mail.outbox[0].body))
    assert link
    site = [path for _address, path in places(world, is_admin=False)]
    site += [f"/messages/{world.legacy}", f"/account/export/{export.pk}", link[0]]
    staff = [path for _address, path in places(world, is_admin=True) if path != "/admin/logout/"]
    return {"owner": site, "anyone": site, "superuser": staff}


def client_of(world: World, person: str) -> Client:
    client = Client(raise_request_exception=False)
    if person != "anyone":
        give_session(client, getattr(world, person))
    return client


@pytest.mark.parametrize("person", ["owner", "anyone", "superuser"])
@pytest.mark.parametrize("asked", ASKING)
def test_nothing_changes(world: World, paths: Any, contents: Any, caplog: Any, person: str, asked: str) -> None:
    method, headers = ASKING[asked]
    client, before = client_of(world, person), contents()
    caplog.set_level(logging.WARNING)
    for path in paths[person]:
        answer = client.generic(method, path, headers=headers)
        assert not answer.cookies, path
        assert answer.status_code < 500, path
    after = contents()
    assert {name for name in after if after[name] != before[name]} == set()
    assert [record.getMessage() for record in caplog.records] == []
    assert len(paths[person]) > 40


def test_a_look_of_somebodys_does_change_something(world: World, paths: Any, contents: Any) -> None:
    """And so the test above would see it."""
    client, before = client_of(world, "owner"), contents()
    for path in paths["owner"]:
        client.get(path)
    after = contents()
    assert {name for name in after if after[name] != before[name]} == {"inbox_readpointer"}


@pytest.mark.parametrize("asked", ASKING)
def test_a_message_stays_new_until_somebody_looks(world: World, asked: str) -> None:
    method, headers = ASKING[asked]
    client = client_of(world, "owner")

    def unread() -> int:
        return sum(row.unread_count for row in list_conversations(reader=world.owner).rows)

    first = unread()
    for key in (world.conversation, world.legacy):
        assert client.generic(method, f"/messages/{key}", headers=headers).status_code == 200
    assert unread() == first > 0
    for key in (world.conversation, world.legacy):
        client.get(f"/messages/{key}")
    assert unread() == 0


@pytest.mark.parametrize("person", ["owner", "anyone", "superuser"])
def test_head_answers_what_get_would(world: World, paths: Any, person: str) -> None:
    for path in paths[person]:
        said = []
        for method in ("HEAD", "GET"):
            answer = client_of(world, person).generic(method, path)
            headers = {name: value for name, value in answer.items() if name not in VOLATILE}
            said.append((answer.status_code, headers))
        assert said[0] == said[1], path


def test_head_has_no_body_and_the_length_of_gets(world: World) -> None:
    """As gunicorn gets it: Django's own client would hide a body."""
    application = get_wsgi_application()

    def ask(method: str, path: str) -> tuple[dict[str, str], bytes]:
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "wsgi.input": io.BytesIO(),
            "wsgi.url_scheme": "http",
            "wsgi.errors": io.StringIO(),
        }
        headers: dict[str, str] = {}
        answer: Any = application(environ, cast("Any", lambda status, given: headers.update(given)))
        body = b"".join(answer)
        answer.close()
        return headers, body

    for path in ("/help", "/requests", "/api/health", "/api/schema", "/nothing", "/api/nothing", "/metrics"):
        (got, body), (asked, nothing) = ask("GET", path), ask("HEAD", path)
        assert body
        assert nothing == b"", path
        assert "Content-Length" not in asked or asked["Content-Length"] == got.get("Content-Length"), path


def test_a_prefetched_form_is_fetched_again_on_use(db: None) -> None:
    """Without its cookie it would be refused, and with it a page that nobody wanted would have set one."""
    visitor = Client(enforce_csrf_checks=True)
    visitor.cookies["somebody_elses"] = "1"
    early = visitor.get("/login", headers={"Sec-Purpose": "prefetch"})
    assert (early.status_code, early.cookies, early["Cache-Control"]) == (425, {}, "no-store")
    assert visitor.get("/help", headers={"Sec-Purpose": "prefetch"}).status_code == 200
    assert settings.CSRF_COOKIE_NAME in visitor.get("/login").cookies
    assert visitor.get("/login", headers={"Sec-Purpose": "prefetch"}).status_code == 200
