"""Report errors to Sentry without anything that a member wrote or signed in with, and without names."""

from collections.abc import Callable
from typing import Any

import sentry_sdk
from sentry_sdk.transport import HttpTransport

from carecollective.observability import request_ids
from carecollective.observability.logging import scrub_all

KEPT_OF_REQUEST = ("method", "url")
# What the SDK may add about people and the machine.
DROPPED = ("user", "breadcrumbs", "server_name", "extra", "modules")

Tags = Callable[[], dict[str, str]]


def _tag_request() -> dict[str, str]:
    request_id = request_ids.current()
    return {"request_id": request_id} if request_id else {}


_providers: list[Tags] = [_tag_request]


class CountingTransport(HttpTransport):
    """Sentry's transport, which also counts events that were not delivered."""

    dropped = 0

    def on_dropped_event(self, reason: str) -> None:
        self.dropped += 1
        super().on_dropped_event(reason)


def count_dropped() -> int:
    """Return how many events of this process were not delivered."""
    return int(getattr(sentry_sdk.get_client().transport, "dropped", 0))


def start(dsn: str, **options: Any) -> None:
    """Start to report unhandled and logged errors."""
    # The SDK's defaults would send message bodies, frame locals and query strings.
    sentry_sdk.init(
        dsn=dsn,
        transport=options.pop("transport", CountingTransport),
        max_request_body_size="never",
        include_local_variables=False,
        send_default_pii=False,
        max_breadcrumbs=0,
        auto_session_tracking=False,
        before_send=clean,
        **options,
    )


def tag(**tags: str) -> None:
    """Tag the errors of this request."""
    for name, value in tags.items():
        sentry_sdk.set_tag(name, value)


def add_tags_of(provider: Tags) -> None:
    """Add the tags of `provider` to each error. It must not raise or query."""
    if provider not in _providers:
        _providers.append(provider)


def clean(event: Any, hint: dict[str, Any]) -> Any:
    """Remove private data from an event, and add the tags."""
    request = event.get("request") or {}
    kept = {name: request[name] for name in KEPT_OF_REQUEST if name in request}
    if "url" in kept:
        kept["url"] = str(kept["url"]).partition("?")[0]
    event = scrub_all({name: value for name, value in event.items() if name not in DROPPED})
    if request:
        event["request"] = kept
    for exception in (event.get("exception") or {}).get("values") or ():
        for frame in (exception.get("stacktrace") or {}).get("frames") or ():
            frame.pop("vars", None)
    # The arguments of a log line are in its formatted text already.
    if "logentry" in event:
        event["logentry"].pop("params", None)
    tags = dict(event.get("tags") or {})
    for provider in _providers:
        tags = provider() | tags
    event["tags"] = tags
    return event
