"""Whether two names look alike, by the skeletons of Unicode Technical Standard 39."""

import re
import unicodedata
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).parent / "confusables.txt"
# Unicode's property Default_Ignorable_Code_Point: characters that show nothing.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Accents and strokes, which a hurried reader overlooks. Vowel signs of other scripts make another name, and stay.
_ACCENTS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")


@cache
def confusables() -> dict[str, str]:
    """Return what each confusable character looks like."""
    found = {}
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            prototype, sources = (field.split() for field in line.split(";"))
            text = "".join(chr(int(point, 16)) for point in prototype)
            found.update({chr(int(source, 16)): text for source in sources})
    return found


def skeleton(text: str) -> str:
    """Return the skeleton of a text: texts that look alike have the same one."""
    table = confusables()
    decomposed = remove_ignorable(unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFD", "".join(table.get(character, character) for character in decomposed))


def remove_ignorable(text: str) -> str:
    """Return the text without the characters that show nothing."""
    return _IGNORABLE.sub("", text)


def look_keys(name: str) -> frozenset[str]:
    """Return what a name is compared by: two names that share a key look alike.

    Case, spaces, punctuation and accents do not count. Letters look like others as a capital or as a small letter only, so
    each case has a key of its own.
    """
    return frozenset(_look_key(text) for text in (name, name.casefold(), name.upper()))


def _look_key(text: str) -> str:
    folded = skeleton(_plain(skeleton(_plain(text))).casefold())
    shown = "".join(character for character in _ACCENTS.sub("", folded) if unicodedata.category(character)[0] in "LMN")
    # A capital I is an l by its skeleton, and a small one is not.
    return shown.replace("i", "l")


def _plain(text: str) -> str:
    """Replace letters in circles, wide letters and the like by plain ones, where Unicode's table has no look-alike."""
    table = confusables()
    return "".join(character if character in table else unicodedata.normalize("NFKC", character) for character in text)
