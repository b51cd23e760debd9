"""Flows of all kinds of users. Statements are recorded while the application works, not while a test prepares."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils.module_loading import import_string

from carecollective.accounts.sign_in.codes import code_of
from carecollective.accounts.sign_in.passwords import choose_password, send_password_link
from carecollective.contact.models import ContactMessage
from carecollective.core.database import acting_as
from carecollective.inbox.replies.addresses import make_reply_address
from carecollective.inbox.replies.services import receive_mail
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import OutgoingMail
from carecollective.moderation.models import Act
from carecollective.moderation.services import report_message
from carecollective.privacy import erasure, exports
from carecollective.serving.worker import Worker
from rollout.alerts import lifecycle
from rollout.alerts.evidence import Finding
from rollout.alerts.rules import rule_of
from rollout.guard import v1_trial
from rollout.models import Flag, Proposal, RootCause
from rollout.promotion import audit_log, drain
from rollout.targeting import propagation, snapshot
from rollout.targeting.state import FLAG_NAME
from tests.access.addresses import addresses
from tests.access.table import SITE
from tests.access.test_who_may import answer_to, values_of
from tests.access.world import PASSWORD, World
from tests.accounts.forms import MEMBERS, change_member
from tests.policies.rights import Recording

Request = pytest.FixtureRequest
PAGE = "/admin/rollout/"


def use_every_address(recording: Recording, request: Request) -> None:
    """Call every page and API call of the access table, as users who may."""
    world = request.getfixturevalue("community")
    for address in addresses():
        for method in sorted(address.methods - {"OPTIONS"}):
            row = SITE.get((method, address.route))
            if row is None:
                continue
            values = values_of(world, address, method)
            path = address.path(values | {name: uuid4() for name in address.parameters if name not in values})
            for person in ("anyone", "helper", "owner", "superuser"):
                with recording.running():
                    answer_to(world, person, method, path, row)


def use_accounts(recording: Recording, request: Request) -> None:
    """Join, sign in and out, guess wrong, change the account, take a token, leave."""
    world = request.getfixturevalue("community")
    world.stranger.set_password(PASSWORD)
    world.stranger.save()
    client, email = Client(), world.stranger.email
    with recording.running():
        client.post("/signup", {"name": "New", "email": "new@example.org", "password": "a long enough one"})
        client.post("/account/email/code", {"code": newest_code()})
        client.post("/account/password", {"old_password": "a long enough one", "password": "another long enough one"})
        client.post("/account/email", {"email": "newer@example.org", "password": "another long enough one"})
        client.post("/account/email/code", {"code": newest_code()})
        client.post("/account/confirm", {"password": "another long enough one"})
        client.get("/account/second-factor/app")
        secret = client.session["mfa.totp.secret"]
        now = int(time.time()) // 30
        before, at = (totp.format_hotp_value(totp.hotp_value(secret, step)) for step in (now - 1, now))
        client.post("/account/second-factor/app", {"code": before})
        client.post("/account/second-factor/codes/new")
        (recovery_code, *_more) = re.findall(
            r"<code>(\w+)</code>", client.get("/account/second-factor/codes").content.decode()
        )
        client.post("/logout")
        client.post("/login", {"email": "newer@example.org", "password": "another long enough one"})
        client.post("/login/second-factor", {"code": at})
        client.post("/account/confirm/second-factor", {"code": recovery_code})
        client.post("/account/confirm", {"password": "another long enough one"})
        client.post("/account/second-factor/app/remove")
        client.post("/logout")
        client.post("/login/code", {"email": "newer@example.org"})
        client.post("/login/code/confirm", {"code": newest_code()})
        client.post("/logout")
        for _attempt in range(2):
            client.post("/login", {"email": email, "password": "wrong"})
        client.post("/login", {"email": email, "password": PASSWORD})
        client.get("/requests?q=groceries")
        client.post("/account", {"name": "Oscar the second", "location": "Town"})
        client.post("/account/sessions/others")
        client.post("/account", {"form": "preferences", "email_notifications": "on"})
        client.post("/account/export")
        answer = client.post("/api/auth/token", {"email": email, "password": PASSWORD}, content_type="application/json")
        client.get("/api/rollout/me", headers={"authorization": f"Token {answer.json()['token']}"})
        exports.prepare_waiting()
        client.get(f"/account/export/{exports.newest_export(member=world.stranger).pk}")  # type: ignore[union-attr]
        client.post("/password/forgotten", {"email": email})
        client.post("/account/erase", {"password": PASSWORD})


def newest_code() -> str:
    """Return the code of the newest mail that has one, without sending it."""
    newest = OutgoingMail.objects.exclude(reference="").select_related("recipient").latest("created_at")
    return code_of(newest.reference, newest.recipient)


def use_conversations(recording: Recording, request: Request) -> None:
    """Offer, answer, close and report in V2; the same in V1 while it takes messages, and the way on from it."""
    world = request.getfixturevalue("community")
    helper, owner = (request.getfixturevalue("signed_in")(member) for member in (world.helper, world.owner))
    stage = request.getfixturevalue("stage")
    stage("disabled")
    with recording.running():
        helper.post(f"/requests/{world.untouched.pk}", {"initial_message": "I could drive you there."})
        owner.post(f"/messages/{world.legacy}", {"message": "Thank you."})
        for action in ("close", "reopen", "block", "unblock"):
            owner.post(f"/messages/{world.legacy}/{action}")
        owner.post(f"/messages/{world.legacy}/block")
        owner.get("/account")
        owner.post(f"/messages/{world.legacy}/unblock")
    stage("enabled", v1_writes=False)
    with recording.running():
        owner.post(f"/messages/{world.legacy}/ask")
        helper.post(f"/messages/{world.legacy}/continue", {"initial_message": "Let us go on here."})
        owner.post(f"/messages/{world.conversation}/report", {"reason": "other", "words": "Please look"})
        owner.post(f"/requests/{world.help_request.pk}/complete")
        owner.post(f"/messages/{world.conversation}/thank")


def use_the_admin(recording: Recording, request: Request) -> None:
    """Approve, change, erase members; read and settle reports; look at every list and at what it deletes."""
    world = request.getfixturevalue("community")
    client = request.getfixturevalue("signed_in")(world.superuser)
    one = {"_selected_action": [str(world.waiting.pk)]}
    with recording.running():
        client.post(MEMBERS, one | {"action": "approve"})
        client.post(MEMBERS, one | {"action": "reject", "reason": "Not from here"})
        client.post(MEMBERS, one | {"action": "export_data"})
        client.post(MEMBERS, one | {"action": "send_password_link"})
        rights = {
            "groups": str(Group.objects.get(name="Rollout operators").pk),
            "user_permissions": _first_permission(),
        }
        change_member(client, world.stranger, name="Renamed", is_staff="on", **rights)
        change_member(client, world.stranger, is_superuser="on")
        change_member(client, world.stranger, is_active=None)
        client.post("/admin/password_change/", {"old_password": "x", "new_password1": "x", "new_password2": "x"})
        for model in admin.site._registry:
            name = f"{model._meta.app_label}/{model._meta.model_name}"
            client.get(f"/admin/{name}/?q=a")
            for found in model._default_manager.all()[:1]:
                for view in ("change", "history", "delete"):
                    client.get(f"/admin/{name}/{found.pk}/{view}/")
        client.get("/admin/moderation/report/")
        _settle_reports(client, world)
        _answer_what_was_written(client, world)
        client.post(MEMBERS, one | {"action": "erase", "confirmed": world.waiting.email})


def _first_permission() -> str:
    return str(Permission.objects.values_list("pk", flat=True)[0])


def _settle_reports(client: Client, world: World) -> None:
    report = report_message(
        actor=world.owner, conversation_id=world.conversation, message_id=None, reason="other", words=""
    )
    address = f"/admin/moderation/report/{report.pk}/change/"
    client.get(address)
    client.post(address, {"show": "Show"}, follow=True)
    client.post(address, {"settle": "1", "outcome": "dismissed"})
    limit = {"act": "1", "choice": "daily_limit", "days": "1", "daily_limit": "3", "reason": "Too many"}
    for form in (limit, {"act": "1", "choice": "hide", "reason": "Rude"}):
        client.post(address, form)
    with acting_as(world.superuser):
        done = list(Act.objects.all())
    for act in done:
        client.post(address, {"undo": str(act.pk), "undo_reason": "Enough"})


def _answer_what_was_written(client: Client, world: World) -> None:
    client.post("/contact", {"text": "Hello"})
    with acting_as(world.superuser):
        written = [str(key) for key in ContactMessage.objects.values_list("pk", flat=True)]
    client.post("/admin/contact/contactmessage/", {"action": "mark_as_answered", "_selected_action": written})


def use_the_control_room(recording: Recording, request: Request) -> None:
    """Propose, approve, refuse, sign, step down, freeze, roll back, file the root cause, take on an alert."""
    request.getfixturevalue("shown")
    request.getfixturevalue("stage")("disabled")
    ben, amina = (request.getfixturevalue(name) for name in ("ben", "amina"))
    browse = request.getfixturevalue("signed_in")
    first, second = browse(ben), browse(amina)

    def press(client: Client, action: str, **fields: Any) -> None:
        client.post(PAGE, {"action": action, "reason": "Because", **fields})

    with recording.running():
        first.get(PAGE)
        press(first, "propose", stage="internal")
        press(second, "refuse", proposal=Proposal.objects.latest("pk").pk)
        press(first, "propose", stage="internal")
        press(second, "approve", proposal=Proposal.objects.latest("pk").pk)
        press(first, "sign", item="unit_tests")
        press(first, "unsign", item="unit_tests", signer=str(ben.pk))
        press(first, "v1_writes", on="no")
        press(first, "roll_back")
        v1_trial.try_v1()
        cause = RootCause.objects.latest("pk")
        answers = {"what": "It broke", "why": "It was wrong", "fix": "Mend it", "who": "Ben", "due": "2030-01-31"}
        press(first, "file_root_cause", root_cause=cause.pk, **answers)
        drain.certify_now(flag_version=Flag.objects.get(name=FLAG_NAME).version)
        drain._report(Flag.objects.get(name=FLAG_NAME).version)
        audit_log.verify()
        rule = rule_of("mail_failing")
        found = Finding(rule, "No mail goes out.", {"total": 1}, total=1)
        alert = lifecycle.raise_alert(found, stage=snapshot.current().stage)
        lifecycle.raise_alert(replace(found, figures={"total": 2}, total=2), stage=snapshot.current().stage)
        press(first, "acknowledge", alert=alert.pk)
        second.get(PAGE)


def use_replies(recording: Recording, request: Request) -> None:
    """Answer by mail, once as it should be, and once with what comes back."""
    world = request.getfixturevalue("community")
    request.getfixturevalue("stage")("enabled")
    request.getfixturevalue("monkeypatch").setattr(settings, "REPLY_DOMAIN", "in.care.example")
    address = make_reply_address(world.owner.pk, world.conversation)
    with recording.running():
        for words in ("Thank you.", "x" * 1001):
            receive_mail(f"From: {world.owner.email}\nTo: {address}\n\n{words}\n".encode())
        send_waiting()


def use_the_worker(recording: Recording, request: Request) -> None:
    """Run every task once, leave the heartbeat, write an event and follow the flag."""
    world = request.getfixturevalue("community")
    worker = Worker(())
    patch = request.getfixturevalue("monkeypatch")
    patch.setattr(erasure, "SWEEP_AFTER_SECONDS", -1)
    patch.setattr(settings, "ALERT_EMAILS", ("staff@example.org",))
    # Nobody listens there: a delivery that fails.
    patch.setattr(settings, "ALERT_WEBHOOK_URL", "http://127.0.0.1:9/")
    patch.setattr(settings, "MAIL_DELAY_SECONDS", 0)
    send_password_link(actor=world.superuser, member_id=world.helper.pk)
    with recording.running():
        exports.request_export(actor=world.helper)
        for path, _seconds in settings.WORKER_TASKS:
            if not path.startswith("carecollective.operations."):
                import_string(path)()
        worker.lock.connection = connection
        worker._beat()
        _choose_password()
        propagation.acknowledge(connection.connection, version=1)


def _choose_password() -> None:
    """Follow the link in the mail that the worker sent."""
    (query,) = {found[1] for letter in mail.outbox if (found := re.search(r"/password\?(\S+)", str(letter.body)))}
    choose_password(**dict(part.split("=") for part in query.split("&")), password="a new and long enough one")


Flow = Callable[[Recording, Request], None]
FLOWS: tuple[Flow, ...] = (
    use_every_address,
    use_accounts,
    use_conversations,
    use_the_admin,
    use_the_control_room,
    use_replies,
    use_the_worker,
)
