"""The runbook as a list of steps: commands with their expected answers, and what happens between them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ANYTHING = "…"
_BLOCK = re.compile(
    r"^(?P<indent> *)```console\n(?P<body>.*?)^ *```$|<!-- meanwhile: (?P<meanwhile>.+?) -->", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Step:
    """A command and its answer, or what happens meanwhile."""

    line: int
    command: str = ""
    answer: str = ""
    meanwhile: str = ""

    @property
    def status(self) -> int:
        """What the command ends with: the page says so by its answer."""
        return int(self.answer.startswith("CommandError: "))

    def is_answered_by(self, said: str) -> bool:
        # A line of its own stands for any number of lines, also none.
        parts = [
            "(?:.*\n)*?" if line == ANYTHING else ".*".join(map(re.escape, line.split(ANYTHING))) + "\n"
            for line in self.answer.splitlines()
        ]
        lines = [line.rstrip() for line in said.splitlines()]
        return re.fullmatch("".join(parts), "".join(f"{line}\n" for line in lines)) is not None


def read_runbook(path: Path, places: Mapping[str, str]) -> Iterator[Step]:
    """Yield the page's steps in order, with the test's folders instead of the page's."""
    page = path.read_text(encoding="utf-8")
    for block in _BLOCK.finditer(page):
        line = page.count("\n", 0, block.start()) + 1
        if block["meanwhile"]:
            yield Step(line, meanwhile=block["meanwhile"])
            continue
        text = "\n".join(one.removeprefix(block["indent"]) for one in block["body"].splitlines())
        for named, actual in places.items():
            text = text.replace(named, actual)
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _newline, answer = part.partition("\n")
            yield Step(line, command, answer)
