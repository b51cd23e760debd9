"""A public site behind common proxies recognises HTTPS, and never redirects in a circle."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory
from gunicorn.config import Config
from gunicorn.http import wsgi

from carecollective.core.client_ip import client_ip
from carecollective.env import proxies
from carecollective.serving.http_reader import RequestReader

CLIENT = "203.0.113.7"
Ask = Callable[..., dict[str, str]]


@pytest.fixture
def ask(db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Ask:
    """Send a request from a peer through the server's own reader, and return the answer."""
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["care.example"]

    def send(peer: str, headers: dict[str, str], *, trusted: str) -> dict[str, str]:
        monkeypatch.setenv("TRUSTED_PROXIES", trusted)
        settings.TRUSTED_PROXIES = proxies(trusted) if trusted else 0
        config = Config()
        for name, value in runpy.run_path(str(Path("gunicorn.conf.py"))).items():
            if name in config.settings and not callable(value):
                config.set(name, value)
        reader = RequestReader(config, (peer, 40000))
        lines = [f"{name}: {value}" for name, value in {"Host": "care.example", **headers}.items()]
        reader.buffer += "\r\n".join(["GET /help HTTP/1.1", *lines, "", ""]).encode()
        request: Any = reader.next_request()
        _response, environ = wsgi.create(request, None, (peer, 40000), ("127.0.0.1", 8000), config)
        said = {"client": client_ip(RequestFactory().get("/", **environ))}

        def start_response(status: str, answered: list[tuple[str, str]]) -> None:
            said.update(status=status[:3], location=dict(answered).get("Location", ""))

        site: Any = WSGIHandler()
        answer = site(environ, start_response)
        list(answer)
        answer.close()
        return said

    return send


HTTPS = {"X-Forwarded-For": CLIENT, "X-Forwarded-Proto": "https"}
# Each proxy: what it sends, from where, and the TRUSTED_PROXIES that the README recommends for it.
BEHIND = {
    "nginx here, not named": ("127.0.0.1", HTTPS | {"X-Real-IP": CLIENT}, ""),
    "nginx here": ("127.0.0.1", HTTPS | {"X-Real-IP": CLIENT}, "127.0.0.1"),
    "Caddy here": ("::1", HTTPS | {"X-Forwarded-Host": "care.example", "Via": "2.0 Caddy"}, "127.0.0.1,::1"),
    "a container": (
        "172.18.0.5",
        HTTPS | {"X-Forwarded-Host": "care.example", "X-Forwarded-Port": "443", "X-Forwarded-Server": "f3a1"},
        "172.16.0.0/12",
    ),
    "Fly": (
        "172.16.3.2",
        HTTPS
        | {
            "X-Forwarded-For": f"{CLIENT}, 66.241.124.1",
            "X-Forwarded-Ssl": "on",
            "X-Forwarded-Port": "443",
            "Fly-Client-IP": CLIENT,
            "Fly-Forwarded-Port": "443",
            "Via": "2 fly.io",
        },
        "2",
    ),
    "Render": (
        "10.21.157.68",
        HTTPS
        | {
            "X-Forwarded-For": f"{CLIENT}, 104.22.17.40",
            "CF-Connecting-IP": CLIENT,
            "CF-Visitor": '{"scheme":"https"}',
        },
        "2",
    ),
    "Heroku": (
        "10.1.45.23",
        HTTPS
        | {
            "X-Forwarded-Port": "443",
            "X-Request-Start": "1732800000000",
            "Via": "1.1 vegur",
            "Connect-Time": "0",
            "Total-Route-Time": "0",
            "X-Request-ID": "c2b4a8f2-6b0f-4b57-9a30-0c3f9d1a7e55",
        },
        "1",
    ),
    "two in a row": (
        "10.0.0.2",
        HTTPS | {"X-Forwarded-For": f"{CLIENT}, 10.0.0.9", "X-Forwarded-Proto": "https, http"},
        "10.0.0.0/8",
    ),
}


@pytest.mark.parametrize(("peer", "headers", "trusted"), BEHIND.values(), ids=BEHIND.keys())
def test_http_leads_to_https_and_https_is_served(ask: Ask, peer: str, headers: dict[str, str], trusted: str) -> None:
    shown = ask(peer, headers, trusted=trusted)
    assert shown["status"] == "200"
    if trusted:
        assert shown["client"] == CLIENT
    plain = headers | {"X-Forwarded-Proto": "http", "X-Forwarded-Ssl": "off"}
    led = ask(peer, plain, trusted=trusted)
    assert (led["status"], led["location"]) == ("301", "https://care.example/help")


@pytest.mark.parametrize(
    ("peer", "trusted"), [("198.51.100.9", "172.16.0.0/12"), ("198.51.100.9", ""), ("127.0.0.1", "10.0.0.0/8")]
)
def test_nobody_else_is_believed(ask: Ask, peer: str, trusted: str) -> None:
    said = ask(peer, HTTPS | {"X-Forwarded-Ssl": "on", "X-Forwarded-Protocol": "ssl"}, trusted=trusted)
    assert said["status"] == "301"
    assert said["client"] == peer
