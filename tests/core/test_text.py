import unicodedata

import pytest
from django.template.defaultfilters import truncatechars

from carecollective.core.errors import ValidationRefused
from carecollective.core.text import excerpt, normalise, normalise_message
from carecollective.web.api import status_of

INVISIBLE = {
    "zero width space": "\u200b",
    "word joiner": "\u2060",
    "Hangul filler": "\u3164",
    "Hangul choseong filler": "\u115f",
    "halfwidth Hangul filler": "\uffa0",
    "blank Braille pattern": "\u2800",
    "soft hyphen": "\u00ad",
    "variation selector": "\ufe0f",
    "left-to-right mark": "\u200e",
    "no-break space": "\u00a0",
    "ideographic space": "\u3000",
    "combining accent alone": "\u0301",
    "byte order mark": "\ufeff",
    "tag character": "\U000e0041",
    "unassigned ignorable": "\u2065",
    "noncharacter": "\ufdd0",
    "control": "\x07",
}
UNBALANCED = {
    "override left open": "pay \u202eGPJ.exe",
    "embedding left open": "\u202aabc",
    "isolate left open": "\u2066abc",
    "closing what was never opened": "abc\u202c def",
    "isolate closed that was never opened": "abc\u2069",
    "crossed": "\u202a\u2066abc\u202c\u2069",
    "closed only in the next line": "\u202eabc\n\u202c",
}


def refusal_of(value, **options):
    with pytest.raises(ValidationRefused) as refused:
        normalise_message(value, field="content", **options)
    assert (refused.value.code, status_of(refused.value)) == ("validation_error", 400)
    assert list(refused.value.fields) == ["content"]
    return str(refused.value.message)


@pytest.mark.parametrize("characters", INVISIBLE.values(), ids=INVISIBLE)
def test_a_message_of_nothing_visible_is_refused(characters):
    assert refusal_of(characters * 12) == "Please write a message first."


@pytest.mark.parametrize("characters", INVISIBLE.values(), ids=INVISIBLE)
def test_one_visible_character_among_invisible_ones_is_enough(characters):
    assert "a" in normalise_message(f"a{characters}a", field="content")


def test_all_invisible_characters_together_are_still_nothing():
    refusal_of("".join(INVISIBLE.values()))


@pytest.mark.parametrize("text", ["", " ", "\r\n\t \n", "\u2028"])
def test_an_empty_message_is_refused(text):
    assert refusal_of(text) == "Please write a message first."


@pytest.mark.parametrize("value", [None, 5, True, 1.5, ["hello"], {"text": "hello"}, b"hello"])
def test_what_is_no_text_is_refused(value):
    assert refusal_of(value) == "This must be text."


@pytest.mark.parametrize("text", ["a\0b", "half \ud83d", "\udc00 half", "\ud800\udc00 as two"])
def test_characters_that_cannot_be_kept_are_refused(text):
    assert "cannot be shown" in refusal_of(text)


@pytest.mark.parametrize("text", UNBALANCED.values(), ids=UNBALANCED)
def test_text_that_turns_what_stands_around_it_is_refused(text):
    assert "cannot be shown" in refusal_of(text)


@pytest.mark.parametrize(
    "text", ["\u2067שלום\u2069 hello", "\u202babc\u202c", "\u2066a\u202ab\u202cc\u2069", "مرحبا", "a\u200fb"]
)
def test_balanced_direction_controls_and_right_to_left_text_are_kept(text):
    assert normalise_message(text, field="content") == text


def test_every_line_end_becomes_one_and_space_around_is_trimmed():
    assert normalise("  one\r\ntwo\rthree\nfour \r\n", field="content") == "one\ntwo\nthree\nfour"


def test_a_browsers_line_ends_do_not_count_twice():
    typed = "x\n" * 499 + "xx"
    assert len(typed) == 1000
    assert normalise_message(typed.replace("\n", "\r\n"), field="content") == typed


def test_a_thousand_emoji_are_a_thousand_characters():
    assert len(normalise_message("😊" * 1000, field="content")) == 1000
    assert refusal_of("😊" * 1001) == "Please shorten your message: it is 1 character over 1,000."


def test_how_far_over_is_said():
    assert refusal_of("a" * 1234) == "Please shorten your message: it is 234 characters over 1,000."


def test_space_around_does_not_count():
    assert len(normalise_message(" " * 50 + "a" * 1000 + "\n" * 50, field="content")) == 1000
    assert "at least 10" in refusal_of("  nine char  "[:11], minimum=10)


@pytest.mark.parametrize(("length", "is_enough"), [(9, False), (10, True)])
def test_a_minimum_counts_characters(length, is_enough):
    text = "é" * length
    if is_enough:
        assert normalise_message(text, field="content", minimum=10) == text
    else:
        assert "at least 10 characters" in refusal_of(text, minimum=10)


@pytest.mark.parametrize(
    "text", ["👋", "👨‍👩‍👧", "🇫🇷", "1️⃣", "ñ", "n\u0303", "あ", "ก็", "<b>", "\U0001fa77", "\U0001fae9", "."]
)
def test_anything_that_shows_is_a_message(text):
    """Emoji younger than this Python's tables of characters (pink heart, face with bags) are not blanks."""
    assert normalise_message(text, field="content") == text


def test_text_is_kept_in_the_form_it_was_typed_in():
    decomposed = unicodedata.normalize("NFD", "Zoë Wójcik")
    assert normalise(decomposed, field="name") == decomposed


@pytest.mark.parametrize("length", [1, 5, 120])
@pytest.mark.parametrize(
    "text", ["", "Milk", "x" * 119, "x" * 120, "x" * 121, "ü" * 121, "e\u0301" * 121, "👩‍🌾" * 50, "\u0958" * 61]
)
def test_an_excerpt_is_what_django_would_cut(text, length):
    assert excerpt(text, length) == truncatechars(text, length)
