"""No password, token or key stands in what is printed, logged or sent when something is wrong with a setting."""

import traceback
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from carecollective import env
from carecollective.postgres.dsn import build_url, connection_url, database_settings, derived_url, parse_url
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.external_server import prepare_server

# Halves of one password: what of it comes before and after the character that was not encoded.
FIRST, SECOND = "hunter", "seventeen"


def words_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize("character", [*"/@%#:?[ \\&=", "%zz", "1/", "@@", "/@"])
@pytest.mark.parametrize("place", ["db.example/care", "db.example:5432/care?sslmode=require", "db.example:port/care"])
def test_a_password_that_was_not_encoded_stands_in_no_refusal(
    character: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://owner:{FIRST}{character}{SECOND}@{place}"
    monkeypatch.setenv("DATABASE_URL", url)
    refusal, rest = take(url)
    # What is taken goes where the server's errors name it: nothing but the password holds a part of the password.
    for half in (FIRST, SECOND):
        assert half not in (words_of(refusal) if refusal else rest)
    if refusal:
        assert isinstance(refusal, (PostgresError, ImproperlyConfigured))
        assert "DATABASE_URL" in str(refusal)


def take(url: str) -> tuple[Exception | None, str]:
    """Read the URL from the environment; return how it was refused, or what became of all but its password."""
    try:
        env.read("DATABASE_URL", "", env.database_address, "a URL")
        derived_url(url, "web", "key")
        taken = database_settings(url)
    except Exception as refusal:
        return refusal, ""
    return None, str({name: value for name, value in taken.items() if name != "PASSWORD"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", f"mysql://owner:{FIRST}@db.example/care"),
        ("EMAIL_URL", f"mail://sender:{FIRST}@mail.example"),
        ("SENTRY_DSN", f"https://{FIRST}@sentry.example"),
        ("SLACK_WEBHOOK_URL", f"hooks.slack.example/{FIRST}"),
        ("ALERT_WEBHOOK_URL", f"hooks.example/{FIRST}"),
        ("DATABASE_DIRECT_URL", f"mysql://owner:{FIRST}@db.example/care"),
    ],
)
def test_a_setting_with_a_secret_in_it_is_refused_without_its_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(raw: str) -> str:
        raise ValueError(raw)

    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured) as refusal:
        env.read(name, "", refuse, "something else")
    assert name in str(refusal.value)
    assert FIRST not in words_of(refusal.value)


def test_a_wrong_password_is_not_repeated(template_database: str, settings: Any) -> None:
    url = parse_url(connection_url(settings.DATA_DIR, "owner", "postgres")) | {"password": FIRST}
    with pytest.raises(psycopg.OperationalError) as failure:
        prepare_server(build_url(url), secret_key=SECOND)
    settings.LOCAL_MODE, settings.DATABASE_URL = False, build_url(url)
    with pytest.raises(CommandError) as refusal:
        call_command("create_roles")
    for error in (failure.value, refusal.value):
        assert FIRST not in words_of(error)
