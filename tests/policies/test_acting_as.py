"""The acting member lives in one transaction and leaves with it, whatever happens inside."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from carecollective.core.database import acting_as
from tests.policies.conftest import ConnectTo
from tests.policies.world import WORLD

Make = Callable[..., Any]


def actor() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT public.current_member()")
        return cursor.fetchone()[0]


def test_nobody_acts_outside(db: None) -> None:
    assert actor() is None


def test_the_member_acts_inside_and_nobody_afterwards(db: None, member: Make) -> None:
    ada = member()
    with acting_as(ada):
        assert actor() == ada.pk
    assert actor() is None


def test_the_first_member_acts_again_after_the_second(db: None, member: Make) -> None:
    ada, ben = member(), member()
    with acting_as(ada):
        with acting_as(ben):
            assert actor() == ben.pk
        assert actor() == ada.pk
        with acting_as(ada):
            assert actor() == ada.pk
        assert actor() == ada.pk


def test_the_first_member_acts_again_after_the_second_failed(db: None, member: Make) -> None:
    ada, ben = member(), member()
    with acting_as(ada):
        with pytest.raises(ZeroDivisionError), acting_as(ben):
            raise ZeroDivisionError
        assert actor() == ada.pk
    assert actor() is None


def test_nobody_acts_after_a_failure(db: None, member: Make) -> None:
    with pytest.raises(ZeroDivisionError), acting_as(member()):
        raise ZeroDivisionError
    assert actor() is None


def test_an_inner_rollback_leaves_the_member_acting(db: None, member: Make) -> None:
    ada = member()
    with acting_as(ada):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            raise ZeroDivisionError
        assert actor() == ada.pk


def test_nothing_of_the_member_stays_on_a_kept_connection(committed_db: None, member: Make) -> None:
    ada = member()
    with acting_as(ada), connection.cursor() as cursor:
        cursor.execute("SELECT public.current_member()")
        assert cursor.fetchone() == (ada.pk,)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.user_id', true), public.current_member()")
        assert cursor.fetchone() == ("", None)


@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("table", ["conversations_v2", "messages_v2", "conversations", "messages"])
def test_the_next_transaction_of_a_connection_sees_nothing(connect_to: ConnectTo, table: str, ending: str) -> None:
    web: psycopg.Connection[Any] = connect_to("taken over")
    web.execute("BEGIN")
    web.execute("SELECT set_config('app.user_id', %s, true)", [str(WORLD["helper"])])
    assert web.execute(f"SELECT FROM {table}".encode()).rowcount > 0
    web.execute(ending.encode())
    assert web.execute(f"SELECT FROM {table}".encode()).rowcount == 0
