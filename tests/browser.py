"""A real browser and the real server: gunicorn as `make run` starts it, on the test's own database."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.db import connections
from django.test import override_settings
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from carecollective.accounts.models import User
from carecollective.postgres.locks import locked
from carecollective.serving.static_files import collect_static_files
from carecollective.settings import STORAGES
from rollout.targeting import snapshot
from tests import databases
from tests.waiting import wait_for

FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-dev-shm-usage",
]
BROWSERS = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
PLAYWRIGHT_INSTALL = [sys.executable, "-m", "playwright", "install"]
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
WORKERS = 2
# Of the site's workers, how many have said that they know this version of the flag, and how many have read it since. One
# that knew a version of this number in an earlier test's database says nothing new, but has read.
WHO_KNOWS = """
SELECT (SELECT count(*) FROM rollout_process WHERE flag_version = %(version)s), (
  SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %(application)s
    AND state = 'idle' AND query_start > %(since)s AND query LIKE '%%public.rollout_state%%')
"""


def find_browser() -> str | None:
    """Return a browser's path: $CHROMIUM or one of the system's; None for Playwright's own.

    Chromium without its windows opens a page for a third of the work.
    """
    named = os.environ.get("CHROMIUM")
    return next((found for name in ([named] if named else BROWSERS) if (found := shutil.which(name))), None)


def provide_browser() -> None:
    """See that there is a browser, or install one; without any, fail with the one line that says what to install."""
    if find_browser():
        return
    if subprocess.run([*PLAYWRIGHT_INSTALL, "--only-shell", "chromium"], check=False).returncode == 0:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        for package in ("chromium-headless-shell", "chromium"):  # older distributions have the latter alone
            install = ["apt-get", "install", "-y", "-qq", package, "fonts-dejavu"]
            subprocess.run(install, check=False, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
            if find_browser():
                return
    pytest.exit("No browser: install Chromium (Debian: apt-get install chromium) or set CHROMIUM to its path.", 1)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Before any worker starts, whose complaint nobody would read: several are for the whole suite, which needs one."""
    if session.config.getoption("dist", "no") != "no":
        provide_browser()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Without workers, only when one of the chosen tests opens a browser."""
    is_worker = hasattr(session.config, "workerinput")
    if is_worker or session.config.option.collectonly:
        return
    if any("browser" in getattr(item, "fixturenames", ()) for item in session.items):
        provide_browser()


@pytest.fixture(scope="session")
def playwright_driver() -> Iterator[Playwright]:
    # Playwright keeps an event loop in this thread; Django would take it for asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def browser(playwright_driver: Playwright) -> Iterator[Browser]:
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    started = playwright_driver.chromium.launch(executable_path=find_browser(), args=flags)
    yield started
    started.close()


@pytest.fixture(scope="session")
def collected_static_files() -> None:
    """Collect the static files as `serve` does, unless they are collected already."""
    root = settings.DATA_DIR / "static"
    with override_settings(STORAGES=STORAGES, STATIC_ROOT=root), locked(root.with_suffix(".lock"), seconds=60):
        collect_static_files(print)


@pytest.fixture(scope="module")  # no longer: its workers follow the rollout and write events into the test's database
def gunicorn_address(
    django_db_setup: None,
    template_database: str,
    collected_static_files: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TEST_ROLLOUT_SNAPSHOT": "thread",
        "TEST_STATIC_FILES": "collected",
        "PORT": str(port),
        "WEB_CONCURRENCY": str(WORKERS),
        "TMPDIR": str(tmp_path_factory.mktemp("gunicorn")),
    }
    server = subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "gunicorn",
            "-c",
            "gunicorn.conf.py",
            "--bind",
            f"127.0.0.1:{port}",
            "carecollective.wsgi",
        ],
        cwd=databases.ROOT,
        env=environment,
    )
    address = f"http://127.0.0.1:{port}"
    _wait_for(f"{address}/help", server)
    yield address
    # It has nothing to finish; to end by itself would take it a second.
    for process in (*psutil.Process(server.pid).children(), server):
        process.kill()
    server.wait(20)
    connections.close_all()
    # What its workers still wrote on their way out is no other test's business.
    databases.recreate_guarded(settings.DATA_DIR, settings.DATABASES["default"]["NAME"], template_database)


@pytest.fixture
def site(committed_db: None, gunicorn_address: str) -> str:
    """The address of a running site on the test's own database."""
    return gunicorn_address


@pytest.fixture
def settled_stage(stage: Callable[..., None], site: str, connect_as: Callable[..., Any]) -> Callable[..., None]:
    """Put the rollout in a stage and wait until every worker of the site has seen it."""

    def put(name: str, **options: Any) -> None:
        stage(name, **options)
        superuser = connect_as("superuser", autocommit=True)
        version, since = superuser.execute("SELECT version, clock_timestamp() FROM rollout_flag").fetchone()
        known = {"application": snapshot.APPLICATION, "version": version, "since": since}

        def all_know() -> bool:
            # A worker follows the flag from its first question on; this is one, whatever the answer.
            with suppress(urllib.error.HTTPError):
                urllib.request.urlopen(f"{site}/api/health", timeout=5).close()
            said, read = superuser.execute(WHO_KNOWS, known).fetchone()
            return bool(max(said, read) >= WORKERS)

        wait_for(all_know, seconds=20)

    return put


@pytest.fixture
def open_page(browser: Browser, site: str, signed_in: Any) -> Iterator[Callable[..., Page]]:
    """Open a page of the site in a context of its own: `open_page("/requests", user, javascript=False)`.

    With `clock=True` its clock can be moved on: `page.clock.fast_forward("05")` lets five seconds pass at once.
    """
    contexts: list[BrowserContext] = []

    def open_one(path: str, user: User | None = None, *, viewport: Any = PHONE, **options: Any) -> Page:
        javascript = options.pop("javascript", True)
        clock = options.pop("clock", False)
        context = browser.new_context(base_url=site, viewport=viewport, java_script_enabled=javascript, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        if clock:
            context.clock.install()
        if user is not None:
            session = signed_in(user).cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": session, "url": site}])
        page = context.new_page()
        page.goto(path)
        return page

    yield open_one
    for context in contexts:
        context.close()


def _wait_for(address: str, server: "subprocess.Popen[bytes]") -> None:
    """Wait until the site answers with the page; an error page says that something is wrong, and is no start."""
    problem = ""
    for _try in range(200):
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except OSError as error:
            problem = str(error)
            if server.poll() is not None:
                break
            time.sleep(0.1)
    pytest.fail(f"The site under test did not start: {problem}.")
