"""Tables for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

from carecollective.operations.contents import TableContents

LONGEST = 66
# Of what two long texts begin with alike, so much is shown for whoever looks for the place.
LEADING = 20


def render(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a table, numbers to the right, long texts cut."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else _cut(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    right = [all(isinstance(row[index], int) for row in rows) and bool(rows) for index in range(len(headings))]
    for line in (list(headings), ["-" * width for width in widths], *cells):
        places = zip(line, widths, right, strict=True)
        yield "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width) for cell, width, is_right in places
        ).rstrip()


def render_contents(tables: Mapping[str, TableContents]) -> Iterator[str]:
    """Yield the lines of a table of what tables hold."""
    rows = [(name, table.rows, table.checksum) for name, table in sorted(tables.items())]
    return render(("Table", "Rows", "Checksum"), rows)


def show_difference(one: str, other: str) -> tuple[str, str]:
    """Return two texts as a table can hold them beside each other: of long ones the part from where they differ."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    alike = len(list(same)) - LEADING
    if one == other or alike <= 0 or max(len(one), len(other)) <= LONGEST:
        return one, other
    return f"…{one[alike:]}", f"…{other[alike:]}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
