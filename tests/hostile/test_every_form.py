"""The corpus in every field of every form that the pages show, and of every call that the API documents."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.core import mail
from django.urls import resolve
from django.utils import timezone
from knox.models import AuthToken

from carecollective.accounts.sign_in.passwords import send_password_link
from carecollective.help_requests.services import cancel_request, complete_request
from carecollective.inbox.closing.services import block_other, close_conversation
from carecollective.inbox.services import offer_help
from carecollective.inbox.unread.services import archive
from carecollective.mail.delivery import send_waiting
from carecollective.web.openapi import published_document
from tests.access.addresses import addresses
from tests.access.world import PASSWORD, World
from tests.factories import HelpRequestFactory
from tests.hostile import corpus
from tests.hostile.forms import Form, forms_of
from tests.hostile.judge import Caller, Judge
from tests.hostile.test_every_address import Share, places

GOOD: dict[str, Any] = {
    "title": "Milk and bread",
    "description": "By Friday, please",
    "category": "groceries",
    "urgency": "normal",
    "initial_message": "Hello, I can help with this",
    "message": "Hello again",
    "content": "Hello again",
    "name": "Ada",
    "email": "nobody@example.org",
    "password": PASSWORD,
    "reason": "It has gone well for a week",
}
FORM = "application/x-www-form-urlencoded"
BEFORE = ("anyone", "owner", "helper", "waiting")
LATER = ("anyone", "owner", "helper")
# The pages at which there is nothing to send.
ASKED_IN_BETWEEN = "asks who is signing in or has just confirmed that it is they: tests/accounts/test_second_factor.py"
NO_FORMS = {
    "": "leads to the requests",
    "admin": "leads to the admin",
    "favicon.ico": "leads to the icon",
    "metrics": "is for programs",
    "help": "is to read",
    "requests": "is a list, searched by GET",
    "messages": "is a list",
    "my/requests": "is a list",
    "my/offers": "is a list",
    "messages/latest": "is what an open list asks for",
    "messages/<uuid:conversation_id>/latest": "is what an open thread asks for",
    "account/export/<uuid:export_id>": "is a file",
    "account/erased": "says goodbye",
    "account/confirm": ASKED_IN_BETWEEN,
    "account/confirm/passkey": ASKED_IN_BETWEEN,
    "account/confirm/second-factor": ASKED_IN_BETWEEN,
    "account/passkeys/add": ASKED_IN_BETWEEN,
    "account/passkeys/remove": ASKED_IN_BETWEEN,
    "account/second-factor/app": ASKED_IN_BETWEEN,
    "account/second-factor/app/remove": ASKED_IN_BETWEEN,
    "account/second-factor/codes/new": ASKED_IN_BETWEEN,
    "login/second-factor": ASKED_IN_BETWEEN,
    "account/second-factor": "is to read",
    "account/second-factor/codes": "is to read",
    "account/email/code": "asks who has been sent a code: tests/accounts/test_code_sign_in.py",
    "login/code/confirm": "asks who has been sent a code: tests/accounts/test_code_sign_in.py",
    "account/time-zone": "is what a browser tells by itself",
}


@pytest.fixture
def later(world: World, stage: Callable[..., None]) -> Sequence[str]:
    """Let all be over: closed, blocked, taken back and frozen.

    Return the pages that nobody is led to: of a password's link, of the conversation with whom the owner blocked, of what is
    archived, of the request that is done, and of one that ends soon.
    """
    offered = offer_help(actor=world.stranger, help_request_id=world.untouched.pk, initial_message="I can drive you.")
    block_other(actor=world.owner, conversation_id=offered.conversation_id)
    for member in (world.owner, world.helper):
        AuthToken.objects.create(user=member)
    close_conversation(actor=world.owner, conversation_id=world.conversation)
    archive(actor=world.owner, conversation_id=world.conversation)
    complete_request(actor=world.owner, help_request_id=world.help_request.pk)
    cancel_request(actor=world.owner, help_request_id=world.untouched.pk)
    soon = HelpRequestFactory.create(user=world.owner, expires_at=timezone.now() + timedelta(days=3))
    stage("enabled", v1_writes=False)
    mail.outbox.clear()
    send_password_link(actor=world.superuser, member_id=world.helper.pk)
    send_waiting()
    found = re.search(r"/password\?\S+", str(mail.outbox[0].body))
    assert found
    return (
        found[0],
        f"/messages/{offered.conversation_id}",
        "/messages?show=archived",
        f"/requests/{world.help_request.pk}",
        f"/requests/{soon.pk}",
    )


def forms_shown_to(world: World, *who: str, is_admin: bool, also: Sequence[str] = ()) -> Iterator[tuple[Caller, Form]]:
    """Read every page as each of these people, and return each form of its own shape once."""
    found = set()
    for name in who:
        caller = Caller(getattr(world, name, None))
        pages = [path for address, path in places(world, is_admin=is_admin) if not address.is_api]
        if not is_admin:
            pages += [f"/messages/{world.legacy}", f"/requests/{world.untouched.pk}", *also]
        for path in pages:
            answer = caller.ask("GET", path.partition("?")[0], query=path.partition("?")[2])
            if answer.status_code != 200 or not answer.get("Content-Type", "").startswith("text/html"):
                continue
            for form in forms_of(path, answer.content.decode()):
                if (form.shape, name == "anyone") not in found:
                    found.add((form.shape, name == "anyone"))
                    yield caller, form


def send(caller: Caller, form: Form, fields: Mapping[str, Any]) -> Any:
    # Bytes of half a character are what a hostile program sends; a browser cannot.
    sent = urlencode(fields, doseq=True, errors="surrogatepass")
    if form.method == "GET":
        return caller.ask("GET", form.path, query=sent)
    return caller.ask("POST", form.path, sent.encode(), content_type=FORM)


def filled(form: Form) -> dict[str, Any]:
    return {name: GOOD.get(name, value) or value for name, value in form.fields.items()}


TEXTS = corpus.TEXTS | corpus.HALVES


def send_all_of_it(caller: Caller, form: Form, judge: Judge, share: Share) -> None:
    for field in form.fields:
        for name, text in share(TEXTS.items(), 20):
            answer = send(caller, form, filled(form) | {field: text})
            judge.look_at(answer, f"{form.method} {form.path} {field}={name}", is_api=False)
    judge.look_at(send(caller, form, {}), f"{form.method} {form.path} with nothing", is_api=False)
    judge.look_at(
        send(caller, form, {field: ["one", "two\0", "three"] for field in form.fields}),
        f"{form.method} {form.path} with three of each",
        is_api=False,
    )


@pytest.mark.parametrize("person", BEFORE)
def test_no_text_in_a_form_of_the_site_is_our_fault(world: World, judge: Judge, share: Share, person: str) -> None:
    for caller, form in forms_shown_to(world, person, is_admin=False):
        send_all_of_it(caller, form, judge, share)
    judge.decide()


@pytest.mark.parametrize("person", LATER)
def test_no_text_in_a_form_that_is_there_only_later_is_our_fault(
    world: World, later: Sequence[str], judge: Judge, share: Share, person: str
) -> None:
    for caller, form in forms_shown_to(world, person, is_admin=False, also=later):
        if (
            form.path.endswith(
                ("/continue", "/ask", "/reopen", "/unblock", "/unarchive", "/thank", "/password", "/keep-open")
            )
            or "/blocks/" in form.path
        ):
            send_all_of_it(caller, form, judge, share)
    judge.decide()


@pytest.mark.parametrize("person", ["anyone", "superuser"])
def test_no_text_in_a_form_for_staff_is_our_fault(world: World, judge: Judge, share: Share, person: str) -> None:
    for caller, form in forms_shown_to(world, person, is_admin=True):
        kept = {name: form.fields[name] for name in form.hidden if name in ("action", "form", "proposal", "root_cause")}
        for name, text in share(TEXTS.items(), 20):
            hostile = dict.fromkeys(form.fields, text)
            judge.look_at(
                send(caller, form, hostile | kept), f"{form.method} {form.path} {kept} all={name}", is_api=False
            )
        for field in form.fields:
            for name in share(("NUL", "999 combining marks", "number", "SQL", "header injection", "high half"), 6):
                answer = send(caller, form, filled(form) | {field: TEXTS[name]})
                judge.look_at(answer, f"{form.method} {form.path} {kept} {field}={name}", is_api=False)
    judge.decide()


def test_no_text_at_an_address_without_a_form_is_our_fault(world: World, judge: Judge, share: Share) -> None:
    fields = [*GOOD, "id", "next", "form", "action", "status", "q", "location", "quiet_hours_start", "stage"]
    for person in ("owner", "helper"):
        caller = Caller(getattr(world, person))
        for address, path in places(world, is_admin=False):
            for name, text in share(TEXTS.items(), 20):
                sent = urlencode(dict.fromkeys(fields, text), errors="surrogatepass").encode()
                answer = caller.ask("POST", path, sent, content_type=FORM)
                judge.look_at(answer, f"POST {path} all={name}", is_api=address.is_api)
    judge.decide()


def test_every_form_is_shown_and_not_done_again_by_a_reload(world: World, request: pytest.FixtureRequest) -> None:
    shown = list(forms_shown_to(world, *BEFORE, is_admin=False))
    link = request.getfixturevalue("later")
    shown += forms_shown_to(world, *LATER, is_admin=False, also=link)
    posted = {resolve(form.path).route for _caller, form in shown if form.method == "POST"}
    pages = {one.route for one in addresses() if "POST" in one.methods and not one.is_admin and not one.is_api}
    assert pages - posted == set(NO_FORMS)
    fields = {name for _caller, form in shown for name in form.fields}
    assert {"title", "description", "category", "urgency", "initial_message", "message", "email", "q"} <= fields

    answers = {form.shape: send(caller, form, filled(form)) for caller, form in shown if form.method == "POST"}
    assert {answer.status_code for answer in answers.values()} >= {302}
    assert [shape for shape, answer in answers.items() if answer.status_code == 200] == []


def bodies_of_calls() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return every documented call that takes a body, with one that it would take."""
    document = published_document()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                properties = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]["properties"]
                yield method.upper(), path, {name: GOOD.get(name, str(uuid4())) for name in properties}


def test_no_field_of_a_call_is_our_fault(world: World, judge: Judge, share: Share) -> None:
    caller = Caller(world.helper)
    values = {"{help_request_id}": world.untouched.pk, "{conversation_id}": world.conversation}
    calls = list(bodies_of_calls())
    assert len(calls) >= 4
    for method, path, good in calls:
        spelled = path
        for part, value in values.items():
            spelled = spelled.replace(part, str(value))
        bodies = {
            f"{field}={name}": json.dumps(good | {field: value})
            for field in good
            for name, value in share((TEXTS | corpus.WRONG_TYPES).items(), 5)
        }
        bodies |= {f"without {field}": json.dumps({key: good[key] for key in good if key != field}) for field in good}
        for name, body in bodies.items():
            answer = caller.ask(method, spelled, body, content_type="application/json")
            judge.look_at(answer, f"{method} {spelled} {name}", is_api=True)
        for name, raw in corpus.whole_bodies(good).items():
            answer = caller.ask(method, spelled, raw, content_type="application/json")
            judge.look_at(answer, f"{method} {spelled} {name}", is_api=True)
    judge.decide()


def test_every_documented_call_is_an_address(world: World) -> None:
    """And the other way round, so that none is left out above."""
    documented = {path.strip("/").replace("{", "").replace("}", "") for path in published_document()["paths"]}
    ours = {
        address.route.replace("<str:", "").replace(">", "")
        for address in addresses()
        if address.is_api and address.name != "schema"
    }
    assert ours == documented
