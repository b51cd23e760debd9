from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from carecollective.accounts.models import User
from rollout.models import Flag
from rollout.promotion import checklist, sign_offs
from rollout.stages import INTERNAL
from rollout.targeting.cohort import INTERNAL_TESTERS, bucket
from rollout.targeting.state import FLAG_NAME
from tests.roles import as_role

MakeUser = Callable[..., User]
Move = Callable[..., None]
Happened = Callable[..., None]
Sql = Callable[..., Any]
BeyondPolicies = Callable[[], AbstractContextManager[Any]]

RECORD = """
INSERT INTO application_logs (key, timestamp, service, method, event, log_level, error_code, version, stage, duration_ms,
  request_id, user_id, connection_error)
SELECT gen_random_uuid(), clock_timestamp() - make_interval(hours => n %% 48 + 1), 'MessagingServiceV2', %s, %s, %s, %s, 'v2',
  'internal', %s, '', %s, false
FROM generate_series(1, %s) AS n
"""


@pytest.fixture
def make_user(db: None) -> MakeUser:
    numbers = count(1)

    def make(*, groups: tuple[str, ...] = (), **fields: Any) -> User:
        number = next(numbers)
        user = User.objects.create_user(
            f"rollout{number}@example.org", name=f"Member {number}", **{"verification_status": "approved"} | fields
        )
        user.refresh_from_db()
        user.groups.set(Group.objects.filter(name__in=groups))
        return user

    return make


@pytest.fixture
def operator(make_user: MakeUser) -> User:
    return make_user(is_staff=True, groups=("Rollout operators",))


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user(is_staff=True, is_superuser=True)


@pytest.fixture
def tester(make_user: MakeUser) -> User:
    return make_user(groups=(INTERNAL_TESTERS,))


@pytest.fixture
def move(db: None) -> Move:
    """Set the stage by plain SQL, past the application and its rules."""

    def to(stage: str, *, v1_writes: bool = True) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE rollout_flag SET stage = %s, v1_writes = %s WHERE name = %s", [stage, v1_writes, FLAG_NAME]
            )

    return to


@pytest.fixture
def flag(db: None) -> Flag:
    return Flag.objects.get(name=FLAG_NAME)


@pytest.fixture
def bucket_of(flag: Flag) -> Callable[[User], int]:
    return lambda user: bucket(member_id=user.pk, salt=flag.salt)


@pytest.fixture
def list_on_flag(beyond_policies: BeyondPolicies) -> Callable[[Flag, User, Group], None]:
    """List a member and a group on the flag as waffle's commands would; the web may not even do that."""

    def add(flag: Flag, user: User, group: Group) -> None:
        with beyond_policies():
            flag.users.add(user)
            flag.groups.add(group)

    return add


@pytest.fixture
def sql(db: None, beyond_policies: BeyondPolicies) -> Sql:
    """Run a statement as the superuser, and return the first row it answers."""

    def run(statement: str, *values: Any) -> Any:
        with beyond_policies() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchone() if cursor.description else None

    return run


@pytest.fixture
def happened(sql: Sql) -> Happened:
    """Record operations as the application would have: `happened(5, level="error")`. By default they succeeded just now.

    They are by so many `members` in turn; by nobody who is known where that is 0.
    """

    def record(
        count: int = 1,
        *,
        method: str = "startHelpConversation",
        version: str | None = "v2",
        level: str = "info",
        code: str | None = None,
        ms: float = 40.0,
        seconds_ago: float = 0.0,
        apart: float = 0.0,
        connection_error: bool = False,
        members: int = 0,
    ) -> None:
        code = code or {"info": None, "warn": "validation_error", "error": "database_error"}[level]
        sql(
            """
            INSERT INTO application_logs (key, timestamp, service, method, event, log_level, error_code, version, stage,
              duration_ms, request_id, connection_error, user_id)
            SELECT gen_random_uuid(), clock_timestamp() - make_interval(secs => %s + %s * n), 'MessagingService', %s,
              CASE %s WHEN 'info' THEN 'success' ELSE 'error' END, %s, %s, %s, 'percentage:10', %s, 'test', %s,
              CASE WHEN %s > 0 THEN md5((n %% greatest(%s, 1))::text)::uuid END
            FROM generate_series(1, %s) AS n
            """,
            seconds_ago, apart, method, level, level, code, version, ms, connection_error, members, members, count,
        )  # fmt: skip

    return record


@pytest.fixture
def as_role_for_test(db: None) -> Iterator[Callable[[str], None]]:
    """Act as a role until the test ends."""
    with ExitStack() as stack:
        yield lambda role: stack.enter_context(as_role(role))


@pytest.fixture
def past_the_triggers(
    beyond_policies: Callable[[], AbstractContextManager[Any]],
) -> Callable[[], AbstractContextManager[Any]]:
    """Write as a superuser whom no trigger hinders: `with past_the_triggers() as cursor`."""

    @contextmanager
    def step_past() -> Iterator[Any]:
        with beyond_policies() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            yield cursor
            cursor.execute("SET LOCAL session_replication_role = origin")

    return step_past


@pytest.fixture
def since_four_days(past_the_triggers: Any, stage: Any, ben: User) -> None:
    """The rollout has been at internal for four days, and the team is content."""
    stage("internal")
    with past_the_triggers() as cursor:
        cursor.execute("UPDATE rollout_change SET at = at - interval '4 days' WHERE to_stage = 'internal'")
    for item in checklist.STAGE_ITEMS[INTERNAL]:
        sign_offs.sign(actor=ben, item=item.name)


@pytest.fixture
def record(db: None) -> Callable[..., None]:
    def add(*, starts: int = 0, sends: int = 0, failures: int = 0, ms: float = 40.0) -> None:
        with connection.cursor() as cursor:
            for method, number, code in (
                ("startHelpConversation", starts, None),
                ("sendMessage", sends, None),
                ("startHelpConversation", failures, "internal_server_error"),
            ):
                event, level = ("error", "error") if code else ("success", "info")
                cursor.execute(RECORD, [method, event, level, code, ms, uuid4(), number])

    return add
