import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.postgres.support import User, is_running
from tests.waiting import wait_for

Use = Callable[..., User]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of this test's own, 0700 as mkdtemp makes it: not even readable to another account."""
    with tempfile.TemporaryDirectory(prefix="care-") as folder:
        yield Path(folder)


@pytest.fixture
def data_dir(home: Path) -> Path:
    return home / "data"


@pytest.fixture
def use(data_dir: Path) -> Iterator[Use]:
    """Start processes that use the server; afterwards see that nothing is left running."""
    users: list[tuple[Path, User]] = []

    def start(folder: Path = data_dir, *, wait: bool = True, **environment: str) -> User:
        user = User(folder, **environment)
        users.append((folder, user))
        if wait:
            user.wait_until_up()
        return user

    yield start
    for _, user in users:
        with suppress(ValueError):
            user.kill()
    for folder, _ in users:
        wait_for(lambda folder=folder: not is_running(folder), seconds=30)  # type: ignore[misc]
