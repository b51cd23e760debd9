"""What things cost beside each other, measured in turns within one run: `make bench` prints it."""

import statistics
import time
from collections.abc import Callable
from functools import partial

from django.db import connection

from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.inbox.services import offer_help, send_message

ROUNDS = 60
OFFER = "Hello, I can help you with this."


def compare(one: Callable[[], object], other: Callable[[], object], *, rounds: int = ROUNDS) -> tuple[float, float]:
    """Run both in turns and return the median of each, in milliseconds."""
    times: tuple[list[float], list[float]] = ([], [])
    for _round in range(rounds):
        for call, taken in ((one, times[0]), (other, times[1])):
            started = time.perf_counter()
            call()
            taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(times[0]), statistics.median(times[1])


def report(what: str, measured: tuple[float, float], meaning: str) -> None:
    one, other = measured
    print(f"{what:<58} {one:8.2f} ms {other:8.2f} ms   ratio {one / other:5.2f}   {meaning}")


def test_starting_in_v2_beside_v1(committed_db, member, help_request, stage):
    owner = member()

    def start(stage_name: str) -> None:
        stage(stage_name)
        offer_help(actor=member(), help_request_id=help_request(user=owner).pk, initial_message=OFFER)

    print()
    report(
        "start a conversation: V2, V1", compare(partial(start, "enabled"), partial(start, "disabled")), "1: as quick"
    )


def test_a_long_inbox_beside_a_short_one(committed_db, member, help_request, stage):
    stage("enabled")
    busy, calm = member(), member()
    for _number in range(300):
        offer_help(actor=busy, help_request_id=help_request().pk, initial_message=OFFER)
    for _number in range(20):
        offer_help(actor=calm, help_request_id=help_request().pk, initial_message=OFFER)
    measured = compare(partial(list_conversations, reader=busy), partial(list_conversations, reader=calm))
    report("first page of the inbox: 300 conversations, 20", measured, "grows with what one member has, not with all")


def test_a_long_thread_beside_a_short_one(committed_db, member, help_request, stage):
    stage("enabled")
    reader = member()
    threads = [
        offer_help(actor=reader, help_request_id=help_request().pk, initial_message=OFFER).conversation_id
        for _number in range(2)
    ]
    for number in range(1050):
        for thread in threads if number < 50 else threads[:1]:
            send_message(actor=reader, conversation_id=thread, content=f"Number {number}")
    read = [partial(open_thread, reader=reader, conversation_id=thread, mark_read=False) for thread in threads]
    report("a page of a thread: 1,050 messages, 50", compare(*read), "1: a page costs a page")


def test_the_policies_beside_none(committed_db, member, help_request, stage, beyond_policies):
    stage("enabled")
    reader = member()
    for _number in range(20):
        offer_help(actor=reader, help_request_id=help_request().pk, initial_message=OFFER)
    look = partial(list_conversations, reader=reader)

    def look_beyond() -> None:
        with beyond_policies():
            look()

    def look_within() -> None:
        with connection.cursor() as cursor:  # the same two statements that stepping out costs
            cursor.execute("SET ROLE carecollective_web")
            look()
            cursor.execute("SET ROLE carecollective_web")

    report(
        "first page of the inbox: with policies, without", compare(look_within, look_beyond), "what the policies cost"
    )
