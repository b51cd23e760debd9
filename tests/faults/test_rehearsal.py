"""Two people drive a rollout through its misfortunes, and hear of each by webhook and by mail while it lasts."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password

from tests.faults.scale import FULL
from tests.faults.visitor import Visitor
from tests.mail.smtp_server import MailServer, serving
from tests.postgres.support import PROJECT, kill
from tests.rollout.alerts.webhook_server import WebhookServer, webhook_server
from tests.sites import CopyFirstRun, Site, environment_for
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
    pytest.mark.xdist_group("faults"),
    pytest.mark.slow,
]

ROOM = "/admin/rollout/"
ON_CALL = "oncall@example.org"
PASSWORD = "a-long-one-for-the-rehearsal"
STAGE = "SELECT stage FROM rollout_flag WHERE name = 'messaging_v2'"
BREAK = """
CREATE FUNCTION rehearsal_fails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'broken for the rehearsal'; END $$;
CREATE TRIGGER rehearsal_fails BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION rehearsal_fails();
"""
LATER = """
SET session_replication_role = replica;
UPDATE rollout_alert SET opened_at = opened_at - interval '6 minutes', last_seen_at = last_seen_at - interval '6 minutes',
    resolved_at = resolved_at - interval '6 minutes' WHERE resolved_at IS NOT NULL;
UPDATE rollout_delivery SET delivered_at = delivered_at - interval '6 minutes';
"""
MEND = "DROP FUNCTION rehearsal_fails CASCADE"


class Rehearsal:
    """A site of its own with its two people, its webhook receiver and its mail server."""

    def __init__(self, site: Site, webhook: WebhookServer, mail: MailServer) -> None:
        self.site, self.webhook, self.mail = site, webhook, mail
        self.amina, self.ben = (self._staff(name) for name in ("Amina", "Ben"))
        self.told: list[tuple[str, str]] = []

    def _staff(self, name: str) -> Visitor:
        member_id, _token = self.site.add_member(name)
        self.site.rows(
            "UPDATE profiles SET is_admin = true, is_superuser = true, password = %s WHERE id = %s",
            make_password(PASSWORD), member_id,
        )  # fmt: skip
        visitor = Visitor(self.site)
        assert visitor.post("/login", {"email": f"{member_id}@example.org", "password": PASSWORD}) == 200
        return visitor

    def hears(self, misfortune: str, *words: str, seconds: float = 40) -> str:
        """Wait until one message with all these words came by webhook and by mail; return it."""
        found: list[str] = []

        def came() -> bool:
            by_mail = "\n".join(f"{one['Subject']}\n{one.get_payload(decode=True).decode()}" for one in self._letters())
            found[:] = [one["text"] for one in self.webhook.received if all(word in one["text"] for word in words)]
            return bool(found) and all(word in by_mail for word in words)

        began = time.monotonic()
        try:
            wait_for(came, seconds=seconds)
        except AssertionError:
            heard = "\n---\n".join(one["text"] for one in self.webhook.received)
            pytest.fail(f"{misfortune}: nobody was told {words}. Heard:\n{heard}")
        took = time.monotonic() - began
        self.told.append((misfortune, f"after {took:.0f} s: {found[-1]}"))
        return found[-1]

    def _letters(self) -> list[Any]:
        return [one for one in self.mail.messages if one["To"] == ON_CALL]

    def heard(self, kind: str, event: str = "alert.opened") -> list[dict[str, Any]]:
        return [one for one in self.webhook.received if (one.get("kind"), one.get("event")) == (kind, event)]

    def has_heard(self, kind: str, times: int) -> bool:
        return len(self.heard(kind)) == times

    def press(self, who: Visitor, action: str, **fields: str) -> None:
        assert who.post(ROOM, {"action": action, **fields}) == 200

    def command(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT, env=environment_for(self.site.data_dir, **self.environment), capture_output=True, text=True,
            timeout=90, check=False,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    @property
    def environment(self) -> dict[str, str]:
        return {"EMAIL_URL": self.mail.url, "ALERT_EMAILS": ON_CALL, "ALERT_WEBHOOK_URL": self.webhook.address}

    def offer(self, times: int) -> list[int]:
        """Let members offer help so often, each to another; return the answers' statuses."""
        statuses = []
        for _time in range(times):
            owner, _token = self.site.add_member("Olga")
            _helper, token = self.site.add_member("Henry")
            path = f"/api/messaging/help-requests/{self.site.add_request(owner)}/start-conversation"
            answer = self.site.call("POST", path, token=token, body={"initial_message": "I could come on Monday."})
            statuses.append(answer.status)
        return statuses

    @contextmanager
    def broken(self, table: str) -> Iterator[None]:
        self.site.rows(BREAK.format(table=table))
        try:
            yield
        finally:
            self.site.rows(MEND)

    @contextmanager
    def away(self, helper: str) -> Iterator[None]:
        """Stop one of the site's processes, and keep the site from starting another."""
        os.kill(self.site.process.pid, signal.SIGSTOP)
        kill(self.site.helper(helper))
        try:
            yield
        finally:
            os.kill(self.site.process.pid, signal.SIGCONT)
            wait_for(lambda: self.site.helper(helper), seconds=30)


@pytest.fixture
def rehearsal(tmp_path: Path, copy_first_run: CopyFirstRun) -> Iterator[Rehearsal]:
    with webhook_server() as webhook, serving(MailServer()) as mail:
        site = Site(
            copy_first_run(tmp_path / "data"),
            WEB_CONCURRENCY="2",
            ALERT_WEBHOOK_URL=webhook.address,
            ALERT_EMAILS=ON_CALL,
            EMAIL_URL=mail.url,
        )
        try:
            site.wait_until_watched()
            yield Rehearsal(site, webhook, mail)
        finally:
            site.end()


def test_every_misfortune_of_a_rollout_is_told_to_a_person(rehearsal: Rehearsal, figure: Callable[..., None]) -> None:
    site, hears = rehearsal.site, rehearsal.hears

    rehearsal.press(rehearsal.amina, "override", stage="internal", reason="The first step of the rehearsal.")
    hears("a step past the gates", "moved up from disabled to internal past what was missing", "by Amina")

    rehearsal.press(rehearsal.ben, "roll_back", reason="Ben tries the button.")
    hears("a rollback by a person", "rolled back from internal", "by Ben", "Ben tries the button.")

    site.rows("UPDATE rollout_flag SET stage = 'percentage:100' WHERE name = 'messaging_v2'")
    hears("a change by SQL", "moved up from disabled to percentage:100", "by the database role")
    number = site.value("SELECT id FROM rollout_alert WHERE kind = 'changed_from_outside' AND resolved_at IS NULL")
    rehearsal.press(rehearsal.ben, "acknowledge", alert=str(number))
    wait_for(lambda: site.value("SELECT resolved_at IS NOT NULL FROM rollout_alert WHERE id = %s", number), seconds=5)

    waffle = rehearsal.command("waffle_flag", "messaging_v2", "--everyone", check=False)
    assert waffle.returncode != 0
    assert "Traceback" not in waffle.stderr
    rehearsal.told.append(("waffle's own command", f"refused: {waffle.stderr.strip()}"))

    # V2 fails twice within one quiet period: two rollbacks by the guard, and both are told.
    for times in (1, 2) if FULL else (1,):
        if times == 2:
            again = {"stage": "another", "percentage": "100", "reason": "Mended, we thought."}
            rehearsal.press(rehearsal.amina, "override", **again)
            wait_for(lambda: site.value(STAGE) == "percentage:100", seconds=5)
            time.sleep(1.2)
        with rehearsal.broken("conversations_v2"):
            assert set(rehearsal.offer(4)) <= {500, 503}
            wait_for(lambda: site.value(STAGE) == "disabled", seconds=30)
        wait_for(partial(rehearsal.has_heard, "guard_rollback", times), seconds=40)
        hears(f"the guard's rollback, number {times}", "The guard turned V2 off (it was at percentage:100)")

    if FULL:
        with rehearsal.broken("conversations"):
            assert set(rehearsal.offer(4)) <= {500, 503}
            hears("V1 fails after the rollback", "Members outside V2 cannot start a conversation")

    if FULL:  # a minute of silence each
        with rehearsal.away("guard"):
            hears("no guard", "No guard has watched for", seconds=120)
        with rehearsal.away("worker"):
            hears("no worker", "The worker was last heard", seconds=120)

    version = int(site.value("SELECT version FROM rollout_flag"))
    with site.holding("SELECT 1 FROM rollout_flag FOR UPDATE"):
        began = time.monotonic()
        done = rehearsal.command("rollout", "rollback", "--reason", "Somebody holds the flag.", check=False)
        took = time.monotonic() - began
        assert "Traceback" not in done.stderr
        rehearsal.told.append(("a rollback while somebody holds the flag", f"in {took:.1f} s: {done.stdout.strip()}"))
    wait_for(lambda: int(site.value("SELECT version FROM rollout_flag")) > version, seconds=20)
    hears("and its record", "Somebody holds the flag.")

    # An end is told once it is sure that the alert does not begin again: five minutes, which pass here at once.
    site.rows(LATER)
    if FULL:
        hears("the guard is back", "A guard watches again")
        hears("the worker is back", "The worker works again")
    hears("somebody knows of the change by SQL", "acknowledged by Ben")

    assert site.call("GET", "/api/health").status == 200
    for misfortune, words in rehearsal.told:
        figure(misfortune, re.sub(r"\s+", " ", words)[:300])
