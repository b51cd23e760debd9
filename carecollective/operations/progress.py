"""Progress for a person at a terminal; in a log, each kind of step once."""

import time
from typing import Any

EVERY_SECONDS = 0.1


class Progress:
    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.is_terminal = bool(getattr(stream, "isatty", lambda: False)())
        self.kind = ""
        self.due = 0.0
        self.length = 0

    def say(self, line: str) -> None:
        """Show the step; `Kind: detail` replaces the line of the same kind on a terminal."""
        kind = line.partition(":")[0]
        now = time.monotonic()
        if self.is_terminal:
            if kind != self.kind and self.kind:
                self.end()
            if kind != self.kind or now >= self.due or _is_last(line):
                self.stream.write("\r" + line.ljust(self.length), ending="")
                self.stream.flush()
                self.due, self.length = now + EVERY_SECONDS, len(line)
        elif kind != self.kind or _is_last(line):
            self.stream.write(line)
        self.kind = kind

    def end(self) -> None:
        if self.is_terminal and self.length:
            self.stream.write("")
            self.length = 0


def _is_last(line: str) -> bool:
    words = line.split()
    return len(words) > 3 and words[2] == "of" and words[1] == words[3]
