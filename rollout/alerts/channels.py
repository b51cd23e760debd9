"""The channels by which alerts reach people, and how each sends a message."""

import logging
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import sentry_sdk
from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from carecollective.observability import sentry
from rollout.alerts.messages import Message

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
_SENTRY_LEVELS = {"critical": "fatal", "warning": "warning"}


class NotDelivered(Exception):
    """Why a channel did not take a message, without addresses or secrets."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to reach people. It is configured by `variables`, the first of which is its setting."""

    name: str
    variables: tuple[str, ...]
    send: Callable[[Message], None]

    @property
    def is_configured(self) -> bool:
        return bool(getattr(settings, self.variables[0]))


def configured_channels() -> Mapping[str, Channel]:
    """Return the channels that the environment configures, by name."""
    return {name: channel for name, channel in CHANNELS.items() if channel.is_configured}


def name_variables() -> str:
    """Name the variables; one of them is enough to reach somebody."""
    *first, last = (channel.variables[0] for channel in CHANNELS.values())
    return f"{', '.join(first)} or {last}"


def how_to_configure(name: str) -> str:
    """Say what to set for a channel, or which channels there are."""
    if name not in CHANNELS:
        return f"There is no channel {name}. There are: {', '.join(CHANNELS)}."
    return f"{name} is not set up. Set {' and '.join(CHANNELS[name].variables)}, restart the site, and try again."


def _send_slack(message: Message) -> None:
    _post(settings.SLACK_WEBHOOK_URL, {"text": message.text})


def _send_webhook(message: Message) -> None:
    _post(settings.ALERT_WEBHOOK_URL, message.facts)


def _post(address: str, body: Mapping[str, Any]) -> None:
    # The system's certificates, so that an operator's own authority counts; httpx would bring its own list.
    trusted = ssl.create_default_context()
    try:
        # Streamed: only the status is of interest, so the answer's body is not waited for.
        with httpx.stream("POST", address, json=body, timeout=TIMEOUT_SECONDS, verify=trusted) as answer:
            if not answer.is_success:
                raise NotDelivered(f"answered {answer.status_code}")
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise NotDelivered(_name_cause(problem)) from None


def _name_cause(problem: BaseException) -> str:
    """Name the first error of the chain, such as ConnectionRefusedError. The texts may hold the address."""
    while problem.__cause__ or problem.__context__:
        problem = problem.__cause__ or problem.__context__ or problem
    return type(problem).__name__


def _send_email(message: Message) -> None:
    # A mail for each address: of one mail to several, the server may refuse some in silence.
    refused: list[str] = []
    try:
        with get_connection(timeout=TIMEOUT_SECONDS) as server:
            for address in settings.ALERT_EMAILS:
                mail = EmailMessage(message.subject, f"{message.text}\n", to=[address], connection=server)
                try:
                    mail.send()
                except smtplib.SMTPRecipientsRefused as problem:
                    refused.append(type(problem).__name__)
    except (OSError, smtplib.SMTPException) as problem:
        raise NotDelivered(type(problem).__name__) from None
    if len(refused) == len(settings.ALERT_EMAILS):
        raise NotDelivered(refused[0])
    if refused:
        # The others were told, and must not be told again and again.
        logger.error("An alert was refused for %d of %d addresses.", len(refused), len(settings.ALERT_EMAILS))


def _send_sentry(message: Message) -> None:
    dropped = sentry.count_dropped()
    with sentry_sdk.new_scope() as scope:
        # The beginning and the end of all alerts of a kind are one issue there; each change is one of its own.
        scope.fingerprint = ["rollout-alert", message.kind, *([message.key] if message.key else [])]
        scope.set_tag("alert", message.kind)
        scope.set_tag("stage", message.stage)
        level = _SENTRY_LEVELS.get(message.level, "info")
        sentry_sdk.capture_message(message.text, level=level, scope=scope)  # type: ignore[arg-type]
    # Longer than an attempt may take: where Sentry never answers, the attempt has failed by then.
    sentry_sdk.flush(2 * TIMEOUT_SECONDS)
    if sentry.count_dropped() > dropped:
        raise NotDelivered("not taken")


# Without a mail server, mail becomes files that reach nobody.
CHANNELS: Mapping[str, Channel] = {
    channel.name: channel
    for channel in (
        Channel("slack", ("SLACK_WEBHOOK_URL",), _send_slack),
        Channel("email", ("ALERT_EMAILS", "EMAIL_URL"), _send_email),
        Channel("sentry", ("SENTRY_DSN",), _send_sentry),
        Channel("webhook", ("ALERT_WEBHOOK_URL",), _send_webhook),
    )
}
