"""Tables and progress for the terminal."""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from carecollective.operations.contents import TableContents

EVERY_SECONDS = 0.1
LONGEST = 66
# How much of the common beginning of two long texts is shown, to help find the place.
LEADING = 20


def render(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a table: numbers to the right, long texts cut."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else _cut(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    right = [all(isinstance(row[index], int) for row in rows) and bool(rows) for index in range(len(headings))]
    for line in (list(headings), ["-" * width for width in widths], *cells):
        places = zip(line, widths, right, strict=True)
        yield "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width) for cell, width, is_right in places
        ).rstrip()


def render_contents(tables: Mapping[str, TableContents]) -> Iterator[str]:
    """Yield the lines of a table with row counts and checksums."""
    rows = [(name, table.rows, table.checksum) for name, table in sorted(tables.items())]
    return render(("Table", "Rows", "Checksum"), rows)


def show_difference(one: str, other: str) -> tuple[str, str]:
    """Return two texts to show beside each other; long ones are cut to where they differ."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    alike = len(list(same)) - LEADING
    if one == other or alike <= 0 or max(len(one), len(other)) <= LONGEST:
        return one, other
    return f"…{one[alike:]}", f"…{other[alike:]}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


class Progress:
    """Shows each step at a terminal; in a log, each kind of step once."""

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
