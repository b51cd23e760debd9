"""Of two who acknowledge an alert at once, one stays on the record."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

from rollout.alerts import lifecycle
from tests.rollout.alerts.test_lifecycle import raise_alert

Make = Callable[..., Any]


def test_of_two_who_acknowledge_at_once_one_is_on_the_record(committed_db: None, staff: Make) -> None:
    people = [staff(name="Amina"), staff(name="Ben")]
    alert = raise_alert("slow_call")
    together, found = threading.Barrier(2), []

    def acknowledge(person: Any) -> None:
        together.wait(5)
        found.append(lifecycle.acknowledge(actor=person, alert_id=alert.pk).acknowledged_by)
        connection.close()

    threads = [threading.Thread(target=acknowledge, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 2
    assert len(set(found)) == 1
