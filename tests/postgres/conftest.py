import stat
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
    """A temporary folder of the test, 0700 as mkdtemp makes it: other accounts cannot read it.

    Whatever the server does with its data in there, the folder and what else is in it keep their owner and permissions.
    """
    with tempfile.TemporaryDirectory(prefix="care-") as folder:
        home = Path(folder)
        beside = [home, home / "letters", home / "letters" / "from Ada", home / "diary"]
        beside[1].mkdir()
        for path, mode in ((beside[2], 0o640), (beside[3], 0o604), (beside[1], 0o750)):
            path.touch()
            path.chmod(mode)
        before = [permissions(path) for path in beside]
        yield home
        assert [permissions(path) for path in beside] == before


def permissions(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid


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
