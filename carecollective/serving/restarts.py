"""How `manage.py restart` talks to the running site: by two files beside the site's lock, a request and an answer.

A signal would end a site of an older release that does not know it.
"""

import json
import os
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from carecollective.postgres.locks import is_locked, try_lock
from carecollective.serving.children import Release

TAKE_SECONDS = 30.0
POLL_SECONDS = 0.1


class RestartError(Exception):
    """Why the site was not restarted, in one sentence."""


class Answer(StrEnum):
    TAKEN = "taken"
    DONE = "done"
    FAILED = "failed"


class ControlFiles:
    """The request and the answer of one site, found by its lock file."""

    def __init__(self, site_lock: Path) -> None:
        self.site_lock = site_lock
        self._request = site_lock.with_suffix(".restart")
        self._answer = site_lock.with_suffix(".restarted")
        self._one_at_a_time = site_lock.with_suffix(".restarting")

    def ask(self, release: Release, *, say: Callable[[str], None]) -> str:
        """Let `release` replace the running site; return the site's answer.

        Raises RestartError: no site runs, another restart is under way, or the new release did not start.
        """
        if not self.site_lock.exists() or not is_locked(self.site_lock):
            raise RestartError(f"No site runs on {self.site_lock.parent}: start it with `make run`.")
        descriptor = try_lock(self._one_at_a_time)
        try:
            # An interrupted command holds no lock, although the site has taken its request.
            if descriptor is None or self._read_answer()[0] == Answer.TAKEN:
                raise RestartError("A restart is under way already: wait for it to end.")
            self._answer.unlink(missing_ok=True)
            _write(self._request, {"folder": str(release.folder), "python": release.python})
            return self._wait(say)
        finally:
            if descriptor is not None:
                self._request.unlink(missing_ok=True)
                os.close(descriptor)

    def clear(self) -> None:
        """Delete what an earlier site left."""
        self._request.unlink(missing_ok=True)
        self._answer.unlink(missing_ok=True)

    def take_request(self) -> Release | None:
        """Return the release that is requested, once; None without a request."""
        try:
            if self._request.stat().st_uid != os.geteuid():
                return None
            asked = json.loads(self._request.read_text())
            self._request.unlink()
            release = Release(Path(asked["folder"]), asked["python"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        self.answer(Answer.TAKEN, "The site makes the new release ready …")
        return release

    def answer(self, answer: Answer, sentence: str) -> None:
        """Write an answer for the command that waits."""
        _write(self._answer, {"answer": answer.value, "sentence": sentence})

    def _wait(self, say: Callable[[str], None]) -> str:
        deadline, said = time.monotonic() + TAKE_SECONDS, ""
        while True:
            is_running = is_locked(self.site_lock)
            match self._read_answer():
                case Answer.DONE, sentence:
                    return sentence
                case Answer.FAILED, sentence:
                    raise RestartError(sentence)
                case Answer.TAKEN, sentence if sentence != said:
                    said = sentence
                    say(sentence)
                case None, _ if time.monotonic() > deadline:
                    raise RestartError(
                        "The running site did not take the request: it may be of an older release. Stop it and start it again."
                    )
            if not is_running:
                raise RestartError("The site ended while it was being restarted: start it with `make run`.")
            time.sleep(POLL_SECONDS)

    def _read_answer(self) -> tuple[Answer | None, str]:
        try:
            found = json.loads(self._answer.read_text())
        except FileNotFoundError:
            return None, ""
        return Answer(found["answer"]), str(found["sentence"])


def _write(path: Path, content: dict[str, str]) -> None:
    """Write the file in one step, readable by its owner only."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
    draft.replace(path)
