import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.rollout.alerts.webhook_server import WebhookServer, webhook_server
from tests.sites import CopyFirstRun, Seat, Site
from tests.waiting import wait_for


@pytest.fixture(scope="session")
def black_hole() -> Iterator[WebhookServer]:
    """A web address that takes everything and answers nothing; the site's alerts go there all the while."""
    with webhook_server() as listener:
        listener.hang.set()
        yield listener


@pytest.fixture(scope="session")
def site(black_hole: WebhookServer, copy_first_run: CopyFirstRun) -> Iterator[Site]:
    """One site for all of these tests: each leaves it well, which the next one's start proves."""
    with tempfile.TemporaryDirectory(prefix="care-faults-") as folder:
        started = Site(copy_first_run(Path(folder) / "data"), WEB_CONCURRENCY="2", ALERT_WEBHOOK_URL=black_hole.address)
        try:
            started.wait_until_watched()
            yield started
        finally:
            started.end()


@pytest.fixture(scope="session")
def seats_of_both_versions(site: Site) -> Sequence[Seat]:
    """Both sides of a legacy conversation and of a new one."""
    legacy = site.add_conversation("v1")
    site.put_stage("percentage:100")
    return [*legacy, *site.add_conversation("v2")]


@pytest.fixture
def seats(site: Site, seats_of_both_versions: Sequence[Seat]) -> Sequence[Seat]:
    wait_for(site.is_healthy, seconds=30)
    return seats_of_both_versions


@pytest.fixture
def new_seat(seats: Sequence[Seat]) -> Seat:
    """The helper's side of a conversation in the new messaging."""
    return next(seat for seat in seats if seat.version == "v2")
