"""What only bytes on a socket can say, to gunicorn as `make run` starts it."""

import socket
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.slow

Send = Callable[[bytes], list[bytes]]


@pytest.fixture
def send(gunicorn_address: str) -> Send:
    """Send bytes over one connection and return the status of each answer to them."""
    place = urlsplit(gunicorn_address)

    def say(sent: bytes) -> list[bytes]:
        received = b""
        with socket.create_connection((str(place.hostname), int(place.port or 80)), timeout=20) as wire:
            # Who refuses early hangs up early, at any of these calls; what was answered is here by then.
            with suppress(OSError):
                wire.sendall(sent)
                wire.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                while piece := wire.recv(65536):
                    received += piece
        return [line.split()[1] for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.")]

    return say


def request(*lines: bytes, body: bytes = b"", method: bytes = b"POST", path: bytes = b"/api/auth/token") -> bytes:
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"Host: localhost", *lines, b"", body])


HIDDEN = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
BOTH_LENGTHS = {
    "CL.TE": request(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + HIDDEN),
    "TE.CL": request(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"5c\r\n" + HIDDEN + b"\r\n0\r\n\r\n"),
    "two lengths": request(b"Content-Length: 0", b"Content-Length: 48", body=HIDDEN),
    "two lengths in one": request(b"Content-Length: 0, 48", body=HIDDEN),
    "a length with a sign": request(b"Content-Length: +0", body=HIDDEN),
    "a negative length": request(b"Content-Length: -1", body=HIDDEN),
    "a length of words": request(b"Content-Length: ten"),
    "a length in hexadecimal": request(b"Content-Length: 0x10", body=HIDDEN),
    "chunked twice": request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + HIDDEN),
    "chunked and then not": request(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + HIDDEN),
    "chunked behind a control": request(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n" + HIDDEN),
    "a space before the colon": request(b"Content-Length : 0", body=HIDDEN),
    "a folded header": request(b"X-A: b", b" Transfer-Encoding: chunked", body=b"0\r\n\r\n" + HIDDEN),
    "a name with an underscore's twin": request(b"Content-Length: 0", b"Content\x00Length: 48", body=HIDDEN),
    "NUL in a header": request(b"X-Request-ID: abc\x00defgh", method=b"GET", path=b"/help"),
    "a bare carriage return": request(b"X-A: b\rTransfer-Encoding: chunked", body=b"0\r\n\r\n" + HIDDEN),
    "a line that is no header": request(b"nothing", method=b"GET", path=b"/help"),
    "identity and then chunked": request(b"Transfer-Encoding: identity, chunked", body=b"0\r\n\r\n" + HIDDEN),
    "chunked offered for the answer": request(b"TE: identity, chunked", method=b"GET", path=b"/help", body=HIDDEN),
    "no host": b"GET /help HTTP/1.1\r\n\r\n" + HIDDEN,
    "an empty host": b"GET /help HTTP/1.1\r\nHost:\r\n\r\n" + HIDDEN,
    "a broken chunk": request(b"Transfer-Encoding: chunked", body=b"3\r\nabcdef\r\n0\r\n\r\n" + HIDDEN),
    "a size of a chunk that is none": request(b"Transfer-Encoding: chunked", body=b"-1\r\n" + HIDDEN),
}


@pytest.mark.parametrize("probe", BOTH_LENGTHS.values(), ids=BOTH_LENGTHS.keys())
def test_an_ambiguous_http_request_is_refused(send: Send, probe: bytes) -> None:
    answers = send(probe)
    assert answers
    assert answers[0] == b"400"
    assert len(answers) == 1, "what was hidden behind it was answered too"


TOO_MUCH = {
    "a line of 5,000": request(method=b"GET", path=b"/help?" + b"a" * 5000),
    "100 headers": request(*(b"X-%d: a" % number for number in range(100)), method=b"GET", path=b"/help"),
    "a header of 9,000": request(b"X-A: " + b"a" * 9000, method=b"GET", path=b"/help"),
}


@pytest.mark.parametrize("probe", TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_what_is_too_long_is_not_read_to_its_end(send: Send, probe: bytes) -> None:
    assert send(probe)[0] in (b"400", b"414", b"431")


ODD = {
    "chunked by another name": request(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + HIDDEN),
    "another's host": b"GET /help HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "an address of another's in the line": b"GET http://evil.example/help HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "a fragment in the line": b"GET /help#x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe/\xed\xa0\x80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "dots in the path": b"GET /static/../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "dots in disguise": b"GET /static/%2e%2e/%2e%2e/manage.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no such version": b"GET /help HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "no such method": b"G\xc9T /help HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n",
    "an oversized body": request(b"Content-Type: application/json", b"Content-Length: 300000", body=b"[" * 300_000),
    "a body cut short": request(b"Content-Type: application/json", b"Content-Length: 100", body=b'{"email": "a'),
    "a chunk cut short": request(b"Content-Type: application/json", b"Transfer-Encoding: chunked", body=b"ff\r\n{"),
}

HARMLESS = (ODD["a fragment in the line"],)


@pytest.mark.parametrize("probe", ODD.values(), ids=ODD.keys())
def test_what_is_odd_on_the_wire_is_refused_and_no_fault_of_ours(send: Send, probe: bytes) -> None:
    answers = send(probe)
    # 501 and 505 are gunicorn's words for a coding and a version that it does not know.
    assert not [status for status in answers if status >= b"500" and status not in (b"501", b"505")]
    assert b"200" not in answers or probe in HARMLESS
