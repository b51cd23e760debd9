"""The runbook, tried: every command it shows is run on a site of its own, from day 1 to the restored backup."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from carecollective.postgres.dsn import connection_url
from tests.operations.runbook import Step, read_runbook
from tests.postgres.support import PROJECT
from tests.sites import CopyFirstRun, Site, environment_for, free_port, nothing_runs
from tests.waiting import wait_for

RUNBOOK = PROJECT / "docs/operations/runbook.md"
pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
    pytest.mark.slow,
]

# Time passes for what the gates look at, and the record is chained again, as only a superuser could.
DAYS_PASS = """
SET session_replication_role = replica;
UPDATE application_logs SET timestamp = timestamp - make_interval(days => {days});
DO $$
DECLARE line rollout_change; previous text := '';
BEGIN
  FOR line IN SELECT * FROM rollout_change ORDER BY id LOOP
    line.at := line.at - make_interval(days => {days});
    previous := rollout_change_hash(line, previous);
    UPDATE rollout_change SET at = line.at, hash = previous WHERE id = line.id;
  END LOOP;
END $$;
"""
HEALTHY = """
INSERT INTO application_logs (key, timestamp, service, method, event, log_level, version, stage, duration_ms, request_id,
  connection_error)
SELECT gen_random_uuid(), clock_timestamp() - make_interval(hours => {days} * 24 - 1) * (n / 700.0), 'MessagingServiceV2', method,
  'success', 'info', 'v2', (SELECT stage FROM rollout_flag), 40, 'runbook', false
FROM generate_series(1, 700) AS n, (VALUES ('startHelpConversation'), ('sendMessage')) AS did (method);
INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message)
SELECT gen_random_uuid(), r.id, r.user_id, p.id, 'I can help you with that.'
FROM help_requests r JOIN profiles p ON p.id <> r.user_id ORDER BY r.id, p.id LIMIT 3 ON CONFLICT DO NOTHING;
INSERT INTO messages_v2 (id, conversation_id, sender_id, content)
SELECT gen_random_uuid(), id, helper_id, 'When would suit you?' FROM conversations_v2;
"""
PEOPLE = """
from django.contrib.auth.models import Group
from carecollective.accounts.models import User
from rollout.promotion import proposals, sign_offs
from rollout.stages import Stage
amina, ben = (User.objects.get(email=f"{name}@example.org") for name in ("amina", "ben"))
"""
SIGN = """
amina.groups.add(Group.objects.get(name="Engineering lead"))
ben.groups.add(Group.objects.get(name="Product owner"))
for item in ("unit_tests", "e2e_tests", "rollback_plan"):
    sign_offs.sign(actor=amina, item=item)
sign_offs.sign(actor=amina, item="stakeholders", part=sign_offs.ENGINEERING)
sign_offs.sign(actor=ben, item="stakeholders", part=sign_offs.PRODUCT)
"""
PROMOTE = """
from rollout.promotion import checklist
from rollout.errors import PromotionRefused
from rollout.stages import standard_stage
from rollout.models import Flag
for item in checklist.STAGE_ITEMS.get(standard_stage(Flag.objects.get().current_stage()), ()):
    sign_offs.sign(actor=ben, item=item.name)
try:
    proposed = proposals.propose(actor=ben, stage=Stage.parse("{stage}"), reason="The gates of the stage have passed")
    proposals.approve(actor=amina, proposal_id=proposed.pk)
except PromotionRefused as refusal:
    raise SystemExit(" ".join(map(str, refusal.missing)))
"""


class TryOut:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.data = home / "data"
        self.site: Site | None = None
        self.places = {
            "http://127.0.0.1:8000": f"http://127.0.0.1:{self.port}",
            ".data-restored": str(home / "restored"),
            ".data/": f"{self.data}/",
        }
        tools = home / "tools"
        tools.mkdir()
        self._write(tools / "manage.py", f'exec {shlex.quote(sys.executable)} manage.py "$@"')
        if not shutil.which("curl"):
            program = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[-1]).status)"
            self._write(tools / "curl", f'exec {shlex.quote(sys.executable)} -c {shlex.quote(program)} "$@"')
        self.path = f"{tools}{os.pathsep}{os.environ['PATH']}"

    def take(self, step: Step) -> tuple[int, str]:
        """Do what the step says, and return its exit status and the answer."""
        if step.meanwhile:
            self._meanwhile(step.meanwhile)
            return 0, ""
        if step.command == "^C":
            assert self.site is not None
            assert self.site.end() == 0, self.site.said
            self.site = None
            return 0, ""
        if step.command.endswith("make run"):
            named = step.command.removesuffix("make run").strip().removeprefix("DATA_DIR=")
            self.site = Site(Path(named) if named else self.data, port=self.port)
            return 0, self.site.wait_until_up()
        return self.run(["bash", "-c", step.command])

    def run(self, arguments: list[str]) -> tuple[int, str]:
        environment = environment_for(
            self.data, PORT=str(self.port), PATH=self.path, ALERT_EMAILS="on-call@example.org"
        )
        done = subprocess.run(
            arguments, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def end(self) -> None:
        if self.site is not None:
            self.site.abandon()
        for data in (self.data, self.home / "restored"):
            wait_for(lambda data=data: nothing_runs(data), seconds=30)  # type: ignore[misc]

    def _meanwhile(self, what: str) -> None:
        match what.split():
            case [days, "healthy", "days"]:
                url = connection_url(self.data, "superuser")
                with psycopg.connect(url, autocommit=True) as superuser:
                    superuser.execute((DAYS_PASS + HEALTHY).format(days=days).encode())
            case ["people", "promote", "to", stage]:
                self._let_people(PROMOTE.format(stage=stage))
            case ["people", "sign", "the", "checklist"]:
                self._let_people(SIGN)
            case _:
                raise AssertionError(f"nobody knows how this happens: {what}")

    def _let_people(self, act: str) -> None:
        answer = self.run([sys.executable, "-W", "ignore", "manage.py", "shell", "-v", "0", "-c", PEOPLE + act])
        assert answer == (0, ""), answer

    @staticmethod
    def _write(path: Path, line: str) -> None:
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)


@pytest.fixture
def try_out(tmp_path_factory: pytest.TempPathFactory, copy_first_run: CopyFirstRun) -> Iterator[TryOut]:
    trying = TryOut(tmp_path_factory.mktemp("runbook"))
    copy_first_run(trying.data)
    yield trying
    trying.end()


def test_every_command_answers_as_the_runbook_says(try_out: TryOut) -> None:
    steps = list(read_runbook(RUNBOOK, try_out.places))
    assert sum(bool(step.command) for step in steps) > 25
    assert [step.command for step in steps if step.status] == ["manage.py drop_v2"]
    for step in steps:
        status, said = try_out.take(step)
        if step.command and step.command != "^C":
            instead = f"{said}ended with {status}, instead of\n{step.answer}ended with {step.status}"
            assert step.is_answered_by(said), f"{RUNBOOK.name}:{step.line}\n$ {step.command}\n{instead}"
            assert status == step.status, f"{RUNBOOK.name}:{step.line}\n$ {step.command}\n{instead}"
