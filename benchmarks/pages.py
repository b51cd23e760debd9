"""The server's CPU for a page, beside that for the API call of the same data."""

import http.client
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from benchmarks import measure
from benchmarks.cpu import Meter
from benchmarks.operations import Client, WrongAnswer
from benchmarks.seed import PASSWORD, Size, email, key
from benchmarks.servers import Server

READER = "short"
PAGES: Mapping[str, tuple[str, str]] = {
    "inbox": ("/messages", "/api/messaging/conversations"),
    "thread": (
        f"/messages/{key('conversation', 'short1')}",
        f"/api/messaging/conversations/{key('conversation', 'short1')}",
    ),
    "requests": ("/requests", "/api/help-requests"),
    "request": (f"/requests/{key('request', 'short1')}", f"/api/help-requests/{key('request', 'short1')}"),
}


@dataclass(slots=True)
class Browser:
    """One kept connection with cookies, signed in by the form."""

    port: int
    cookies: SimpleCookie = field(default_factory=SimpleCookie)
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def sign_in(self, member: str) -> None:
        status, page = self.ask("GET", "/login")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        fields = {"email": email(member), "password": PASSWORD, "csrfmiddlewaretoken": token[1] if token else ""}
        status, _page = self.ask("POST", "/login", urlencode(fields))
        if status != 302 or "sessionid" not in self.cookies:
            raise WrongAnswer(f"Signing in by the form was answered with {status}.")

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        cookies = "; ".join(f"{name}={one.value}" for name, one in self.cookies.items())
        headers = {"Cookie": cookies} if cookies else {}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            self.cookies.load(cookie)
        return answer.status, answer.read().decode()


def measure_pages(server: Server, size: Size, *, rounds: int, requests: int, seconds: float) -> Mapping[str, float]:
    """Return the server's CPU for each page as a ratio to that for the call of the same data."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in PAGES}
    browser, client, meter = Browser(server.port), Client(server, size), Meter(server)
    browser.sign_in(READER)
    for _number in measure.counted_rounds(rounds, seconds=seconds):
        for name, (page, call) in PAGES.items():
            for figures, run in zip(found[name], (_visiting(browser, page), _calling(client, call)), strict=True):
                browser.connection.close()
                server_cpu, _database = measure.measure(client, meter, requests, run)
                figures.append(server_cpu)
    meter.close()
    return {name: measure.median_ratio(page, call) for name, (page, call) in found.items()}


def _visiting(browser: Browser, path: str) -> Callable[[], None]:
    def visit() -> None:
        status, _page = browser.ask("GET", path)
        if status != 200:
            raise WrongAnswer(f"The page {path} was answered with {status}.")

    return visit


def _calling(client: Client, path: str) -> Callable[[], None]:
    def call() -> None:
        status, _body = client.ask("GET", path, READER)
        if status != 200:
            raise WrongAnswer(f"{path} was answered with {status}.")

    return call
