"""Normalises and checks what people type, for pages, API and services."""

import re
import unicodedata
from typing import Any

from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from carecollective.core.errors import ValidationRefused

# What the site calls itself where a person's name would stand.
SITE_NAME = "Care Collective"
MESSAGE_MAX = 1000
# As a sentence writes it.
MESSAGE_MAX_WRITTEN = f"{MESSAGE_MAX:,}"
INITIAL_MESSAGE_MIN = 10
EMAIL_MAX = 254

# Letters and symbols that show nothing: Hangul fillers, the blank Braille pattern.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Zs", "Mn", "Me"})
# Never assigned, or reserved for ignorable characters. Other unassigned ones may be emoji newer than Python's tables.
_UNASSIGNED_BLANK = re.compile("[\u2065\ufdd0-\ufdef\ufff0-\ufff8\ufffe\uffff\U000e0000-\U000e0fff]")
_UNKEPT = re.compile("[\0\ud800-\udfff]")
_OPENS_EMBEDDING = frozenset("\u202a\u202b\u202d\u202e")
_CLOSES_EMBEDDING = "\u202c"
_OPENS_ISOLATE = frozenset("\u2066\u2067\u2068")
_CLOSES_ISOLATE = "\u2069"


def normalise(value: Any, *, field: str) -> str:
    """Return `value` with one kind of line end and no space around it.

    Raises ValidationRefused, naming `field`, for what is no text, holds NUL or a lone surrogate, or turns the direction of
    the text around it.
    """
    if not isinstance(value, str):
        raise ValidationRefused({field: [_("This must be text.")]})
    text = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not can_be_kept(text) or not _balanced(text):
        raise ValidationRefused({field: [_("This holds a character that cannot be shown. Please type it again.")]})
    return text


def read_text(value: Any, *, field: str, longest: int, refused: dict[str, list[Any]], as_one_line: bool = False) -> str:
    """Return `value` normalised. A text that cannot be kept, or is too long, is noted in `refused`."""
    try:
        text = normalise(value, field=field)
    except ValidationRefused as refusal:
        refused.update(refusal.fields)
        return ""
    if as_one_line:
        text = one_line(text)
    if len(text) > longest:
        refused[field] = [_("Please shorten this to %(longest)d characters.") % {"longest": longest}]
    return text


def can_be_kept(text: str) -> bool:
    """Tell whether the database can store the text: it has neither NUL nor a lone surrogate."""
    return _UNKEPT.search(text) is None


def one_line(text: str) -> str:
    """Return the text as one line without control characters, so that it cannot forge a second line in a record or a list."""
    shown = "".join(character if unicodedata.category(character) != "Cc" else " " for character in text)
    return " ".join(shown.split())


def normalise_message(value: Any, *, field: str, minimum: int = 1) -> str:
    """Return a message ready to keep: normalised, visible, `minimum` to `MESSAGE_MAX` characters (code points).

    Raises ValidationRefused naming `field`.
    """
    text = normalise(value, field=field)
    if not any(_is_visible(character) for character in text):
        raise ValidationRefused({field: [_("Please write a message first.")]})
    if len(text) < minimum:
        raise ValidationRefused(
            {field: [_("Please write a little more: at least %(minimum)d characters.") % {"minimum": minimum}]}
        )
    if len(text) > MESSAGE_MAX:
        over = len(text) - MESSAGE_MAX
        raise ValidationRefused(
            {
                field: [
                    ngettext_lazy(
                        "Please shorten your message: it is %(over)d character over %(longest)s.",
                        "Please shorten your message: it is %(over)d characters over %(longest)s.",
                        "over",
                    )
                    % {"over": over, "longest": MESSAGE_MAX_WRITTEN}
                ]
            }
        )
    return text


def _is_visible(character: str) -> bool:
    category = unicodedata.category(character)
    if category == "Cn":
        return _UNASSIGNED_BLANK.match(character) is None
    return character not in _BLANK and category not in _INVISIBLE_CATEGORIES


def _balanced(text: str) -> bool:
    """Tell whether every direction control is closed in its line, where the bidirectional algorithm ends it."""
    if text.isascii():
        return True
    for line in text.split("\n"):
        stack: list[str] = []
        for character in line:
            if character in _OPENS_EMBEDDING:
                stack.append(_CLOSES_EMBEDDING)
            elif character in _OPENS_ISOLATE:
                stack.append(_CLOSES_ISOLATE)
            elif character in (_CLOSES_EMBEDDING, _CLOSES_ISOLATE) and (not stack or stack.pop() != character):
                return False
        if stack:
            return False
    return True


def excerpt(text: str, length: int) -> str:
    """Return the text with an ellipsis in place of what is beyond `length`, as Django's `truncatechars` does.

    That looks at each letter. Most texts are short or have no letter that two characters make.
    """
    if text.isascii():
        return text if len(text) <= length else f"{text[: length - 1]}…"
    text = unicodedata.normalize("NFC", text)
    return text if len(text) <= length else str(Truncator(text).chars(length))
