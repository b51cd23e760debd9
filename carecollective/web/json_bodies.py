"""The JSON of the API: what is taken, and how answers are written."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any
from uuid import UUID

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

MAX_DEPTH = 20
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class StrictJSONParser(JSONParser):
    """Strict JSON: UTF-8, no duplicate keys, no NaN, nested at most MAX_DEPTH levels."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return self.parse_bytes(stream.read())

    def parse_bytes(self, body: bytes) -> Any:
        """Return what a body says. Raises ParseError."""
        try:
            text = body.decode("utf-8")
            if _depth(text) > MAX_DEPTH:
                raise ValueError("nested too deeply")
            return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ParseError from error


class AnswerEncoder(JSONEncoder):
    """The framework's encoder, which asks for most other types first: answers hold mostly these two."""

    def default(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is UUID:
            digits = "%032x" % obj.int  # noqa: UP031 -- a fifth faster
            return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        if kind is datetime and obj.tzinfo is UTC:
            return f"{obj.isoformat()[:-6]}Z"
        return super().default(obj)


class AnswerRenderer(JSONRenderer):
    """The framework's JSON, by an encoder that is made once. No answer holds itself, so that is not looked for."""

    encoder_class = AnswerEncoder
    _encoder = AnswerEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        if data is None:
            return b""
        # These two end a line in JavaScript, and not in JSON.
        return self._encoder.encode(data).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _depth(text: str) -> int:
    """Return how deep the brackets nest, those inside strings left out. Counted before the parser recurses."""
    depth = deepest = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest
