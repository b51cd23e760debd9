"""Reads requests from bytes as they arrive, without blocking."""

from typing import Any

from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.errors import InvalidHeader, LimitRequestHeaders, LimitRequestLine
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from carecollective.web.server_limits import BODY_BYTES, HEAD_BYTES, HEADER_FIELD_BYTES

HEAD_END = b"\r\n\r\n"


class BodyTooLarge(Exception):
    """The body is longer than the site takes."""


class MissingHost(Exception):
    """An HTTP/1.1 request has no Host header."""


class RequestReader:
    """Collects the bytes of one connection, and returns each request once it is complete.

    gunicorn's own parser reads the heads and decodes the bodies, so that only one parser decides where a request ends.
    """

    def __init__(self, config: Any, peer: Any) -> None:
        self.buffer = bytearray()
        self.head: Any = None
        self._config, self._peer = config, peer
        self._searched = 0

    @property
    def has_begun(self) -> bool:
        """Whether part of a request has arrived."""
        return self.head is not None or bool(self.buffer)

    @property
    def begin(self) -> bytes:
        """The first bytes that are not parsed yet: the method and address of the next request."""
        return bytes(self.buffer[:100])

    def take_continue(self) -> bool:
        """Return, once for each request, whether the client waits for `100 Continue`."""
        waits = self.head is not None and self.head._expected_100_continue
        if waits:
            self.head._expected_100_continue = False
        return bool(waits)

    def next_request(self) -> Any | None:
        """Return the next request with its whole body, or None while it is incomplete.

        Raises BodyTooLarge, MissingHost, or what gunicorn's parser raises. The connection cannot be used after that.
        """
        if self.head is None:
            self.head = self._read_head()
            if self.head is None:
                return None
            self._check(self.head)
        if not self._read_body(self.head):
            return None
        # The body has arrived: no `100 Continue` is needed.
        self.head._expected_100_continue = False
        request, self.head, self._searched = self.head, None, 0
        return request

    def _read_head(self) -> Any | None:
        while self.buffer.startswith(b"\r\n"):
            del self.buffer[:2]
        end = self.buffer.find(HEAD_END, max(0, self._searched - len(HEAD_END)))
        if end < 0:
            self._searched = len(self.buffer)
            longest_line = self._config.limit_request_line
            if b"\r\n" not in self.buffer[: longest_line + 2] and len(self.buffer) > longest_line:
                raise LimitRequestLine(len(self.buffer), longest_line)
        if (len(self.buffer) if end < 0 else end) > HEAD_BYTES:
            raise LimitRequestHeaders("the whole head")
        if end < 0:
            return None
        head = Request(self._config, IterUnreader([bytes(self.buffer[: end + len(HEAD_END)])]), self._peer)
        del self.buffer[: end + len(HEAD_END)]
        self._searched = 0
        return head

    def _check(self, head: Any) -> None:
        values: dict[str, list[str]] = {}
        for name, value in head.headers:
            values.setdefault(name, []).append(value.lower())
        if head.version >= (1, 1) and not any(values.get("HOST", [])):
            raise MissingHost
        # Proxies read other codings in different ways, which would allow request smuggling.
        if values.get("TRANSFER-ENCODING", ["chunked"]) != ["chunked"]:
            raise InvalidHeader("TRANSFER-ENCODING", req=head)
        if any("chunked" in value for value in values.get("TE", [])):
            raise InvalidHeader("TE", req=head)
        # Each proxy in a row adds to this header. The first value is that of the proxy nearest to the client.
        if "X-FORWARDED-PROTO" in values and head._peer_is_trusted_proxy():
            outermost = values["X-FORWARDED-PROTO"][0].split(",")[0].strip()
            head.scheme = "https" if outermost == "https" else "http"

    def _read_body(self, head: Any) -> bool:
        if isinstance(head.body.reader, ChunkedReader):
            return self._read_chunks(head)
        length = head.body.reader.length
        if length > BODY_BYTES:
            raise BodyTooLarge
        if len(self.buffer) < length:
            return False
        head.unreader.unread(bytes(self.buffer[:length]))
        del self.buffer[:length]
        return True

    def _read_chunks(self, head: Any) -> bool:
        end = self._find_chunks_end()
        if end is None:
            # Chunk headers may add to the content, but not without limit.
            if len(self.buffer) > 2 * BODY_BYTES:
                raise BodyTooLarge
            return False
        head.unreader.unread(bytes(self.buffer[:end]))
        del self.buffer[:end]
        content = head.body.read()
        if len(content) > BODY_BYTES:
            raise BodyTooLarge
        head.unreader = IterUnreader([content])
        head.body = Body(LengthReader(head.unreader, len(content)))
        # Django reads as much as Content-Length says.
        head.headers = [pair for pair in head.headers if pair[0] != "TRANSFER-ENCODING"]
        head.headers.append(("CONTENT-LENGTH", str(len(content))))
        return True

    def _find_chunks_end(self) -> int | None:
        """Return where a chunked body ends, or None while it is incomplete. gunicorn rejects a malformed one."""
        while True:
            line_end = self.buffer.find(b"\r\n", self._searched)
            if line_end < 0:
                return len(self.buffer) if len(self.buffer) - self._searched > HEADER_FIELD_BYTES else None
            try:
                size = int(bytes(self.buffer[self._searched : line_end]).split(b";")[0], 16)
            except ValueError:
                return len(self.buffer)
            if size < 0:
                return len(self.buffer)
            if size == 0:
                # The last chunk, then the trailers, then an empty line.
                end = self.buffer.find(HEAD_END, line_end)
                return end + len(HEAD_END) if end >= 0 else None
            if size > BODY_BYTES:
                raise BodyTooLarge
            after = line_end + 2 + size + 2
            if after > len(self.buffer):
                return None
            self._searched = after
