"""The bytes that a client gets: every refusal in the site's words, every answer complete."""

import http.client
import io
import json
import re
import socket
import time

import pytest

from carecollective.web import server_limits

pytestmark = pytest.mark.slow

Place = tuple[str, int]
SIGN_IN = b"POST /api/auth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WRONG = b'{"email": "nobody@example.org", "password": "wrong"}'


class Answer(http.client.HTTPResponse):
    """One answer, with its body in `content`."""

    def __init__(self, received: "Received") -> None:
        super().__init__(received)  # type: ignore[arg-type]
        self.begin()
        self.content = self.read()


class Received(io.BytesIO):
    """The bytes of a connection. It stays open when one answer is read."""

    def makefile(self, _mode: str) -> "Received":
        return self

    def close(self) -> None:
        pass


def say(place: Place, *sent: bytes, ends: bool = True) -> list[Answer]:
    """Send bytes, and return each answer until the server closes."""
    with socket.create_connection(place, timeout=20) as wire:
        for piece in sent:
            wire.sendall(piece)
        if ends:
            wire.shutdown(socket.SHUT_WR)
        received = Received(b"".join(iter(lambda: wire.recv(65536), b"")))
    answers = []
    while received.tell() < len(received.getbuffer()):
        answers.append(Answer(received))
    return answers


REFUSED = {
    "a line that is none": (b"GET /api/health\r\n\r\n", 400, "invalid_input"),
    "a header that is none": (b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nnothing\r\n\r\n", 400, "invalid_input"),
    "no host": (b"GET /api/health HTTP/1.1\r\n\r\n", 400, "invalid_input"),
    "an address too long": (b"GET /api/health?" + b"a" * 5000 + b" HTTP/1.1\r\n", 414, "request_too_large"),
    "a header too long": (SIGN_IN + b"X-A: " + b"a" * 9000 + b"\r\n\r\n", 431, "request_too_large"),
    "too many headers": (SIGN_IN + b"X-A: a\r\n" * 100 + b"\r\n", 431, "request_too_large"),
    "a head without an end": (SIGN_IN + b"X-A: a\r\n" * 20_000, 431, "request_too_large"),
    "a body too long": (SIGN_IN + b"Content-Length: 300000\r\n\r\n" + b"[" * 300_000, 413, "request_too_large"),
    "a body far too long": (SIGN_IN + b"Content-Length: 9000000\r\n\r\n" + b"[" * 9_000_000, 413, "request_too_large"),
    "chunks too long": (
        SIGN_IN + b"Transfer-Encoding: chunked\r\n\r\n" + (b"8000\r\n" + b"[" * 0x8000 + b"\r\n") * 30,
        413,
        "request_too_large",
    ),
    "an unknown coding": (SIGN_IN + b"Transfer-Encoding: x\r\n\r\n", 501, "invalid_input"),
    "an expectation of more": (SIGN_IN + b"Expect: more\r\n\r\n", 417, "invalid_input"),
    "a body cut short": (SIGN_IN + b"Content-Length: 100\r\n\r\n{", 400, "invalid_input"),
    "TRACE": (b"TRACE /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "method_not_allowed"),
}


@pytest.mark.parametrize(("sent", "status", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals_come_in_our_envelope(place: Place, sent: bytes, status: int, code: str) -> None:
    (answer,) = say(place, sent)
    assert answer.status == status
    said = json.loads(answer.content)
    assert said["success"] is False
    assert said["error"]["code"] == code
    assert said["error"]["message"]
    assert re.fullmatch("[0-9a-f]{32}", str(answer.headers["X-Request-ID"]))


def test_a_refusal_of_a_page_is_a_page(place: Place) -> None:
    (answer,) = say(place, b"GET /help HTTP/1.1\r\nX-Request-ID: mine-12345\r\n\r\n")
    assert answer.status == 400
    assert b"<h1>" in answer.content
    assert "default-src 'none'" in str(answer.headers["Content-Security-Policy"])
    assert answer.headers["X-Request-ID"] == "mine-12345"


@pytest.mark.parametrize("turn", range(10))
def test_a_413_reaches_a_client_that_sends_all_of_its_body_first(place: Place, turn: int) -> None:
    connection = http.client.HTTPConnection(*place, timeout=20)
    connection.request("POST", "/api/auth/token", b"[" * 3_000_000, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]["code"]) == (413, "request_too_large")
    connection.close()


def test_a_chunked_body_is_read(place: Place) -> None:
    chunks = b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\n" + WRONG[:5] + b"\r\n%x\r\n" % len(WRONG[5:]) + WRONG[5:]
    first, second = say(
        place, SIGN_IN + chunks + b"\r\n0\r\nX-Trailer: a\r\n\r\n", SIGN_IN + b"Connection: close\r\n\r\n"
    )
    assert json.loads(first.content)["error"]["code"] == "unauthorized"
    assert json.loads(second.content)["error"]["code"] == "validation_error"


def test_requests_sent_at_once_are_answered_in_turn(place: Place) -> None:
    one = b"GET /api/health/live HTTP/1.1\r\nHost: localhost\r\n"
    answers = say(place, (one + b"\r\n") * 20 + one + b"Connection: close\r\n\r\n", ends=False)
    assert [answer.status for answer in answers] == [200] * 21


def test_a_request_may_come_in_pieces(place: Place) -> None:
    whole = SIGN_IN + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(WRONG) + WRONG
    (answer,) = say(place, *(whole[at : at + 7] for at in range(0, len(whole), 7)), ends=False)
    assert answer.status == 401


def test_a_client_that_asks_first_is_told_to_go_on(place: Place) -> None:
    with socket.create_connection(place, timeout=10) as wire:
        wire.sendall(SIGN_IN + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(WRONG))
        assert wire.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(WRONG)
        assert wire.recv(100).startswith(b"HTTP/1.1 401")


def test_too_large_a_body_is_refused_before_it_is_sent(place: Place) -> None:
    with socket.create_connection(place, timeout=10) as wire:
        wire.sendall(SIGN_IN + b"Expect: 100-continue\r\nContent-Length: 300000\r\n\r\n")
        assert wire.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PATH_INFO", "REMOTE_USER"])
def test_a_header_names_no_part_of_the_environment(place: Place, name: str) -> None:
    lines = f"GET /login HTTP/1.1\r\nHost: localhost\r\n{name}: /login\r\nConnection: close\r\n\r\n".encode()
    (answer,) = say(place, lines)
    assert answer.status == 200
    # A believed SCRIPT_NAME would stand before every address.
    assert b'href="/requests"' in answer.content


def test_a_head_that_does_not_end_is_answered_408_in_time(place: Place) -> None:
    began = time.monotonic()
    with socket.create_connection(place, timeout=server_limits.HEAD_SECONDS + 20) as wire:
        wire.sendall(b"GET /api/health HTTP/1.1\r\nHost: ")
        said = b""
        while piece := wire.recv(65536):
            said += piece
    assert said.startswith(b"HTTP/1.1 408")
    assert b'"request_timeout"' in said
    assert server_limits.HEAD_SECONDS - 1 <= time.monotonic() - began <= server_limits.HEAD_SECONDS + 10


def test_a_large_answer_reaches_a_client_that_reads_slowly(place: Place) -> None:
    with socket.socket() as wire:
        wire.settimeout(20)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        wire.connect(place)
        wire.sendall(b"GET /api/schema HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        time.sleep(1)
        answer = http.client.HTTPResponse(wire)
        answer.begin()
        assert json.loads(answer.read())["openapi"]
