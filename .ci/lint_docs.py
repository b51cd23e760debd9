"""Check the form of the decision records, their index, the links between documents, and the SQL files that they name."""

import re
import sys
from pathlib import Path

HEADINGS = ["Context", "Decision", "Consequences"]
RECORDS = Path("docs/decisions")
NAMED_SQL = re.compile(r"\b([a-z]\w+)_v(\d+)\.sql")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")


def problems_of_records() -> list[str]:
    problems = []
    index = (RECORDS / "README.md").read_text()
    for number, path in enumerate(sorted(RECORDS.glob("[0-9]*.md")), start=1):
        text = path.read_text()
        title = text.splitlines()[0].removeprefix(f"# {number}. ")
        if not path.name.startswith(f"{number:04}-") or text.splitlines()[0] != f"# {number}. {title}":
            problems.append(f'{path}: the file is named {number:04}-… and begins with "# {number}. Title".')
        if re.findall(r"^## (.*)", text, re.MULTILINE) != HEADINGS:
            problems.append(f"{path}: the headings are {', '.join(HEADINGS)}, in this order.")
        if f"{number}. [{title}]({path.name})\n" not in index:
            problems.append(f"{RECORDS / 'README.md'}: this line is missing: {number}. [{title}]({path.name})")
    return problems


def problems_of_links() -> list[str]:
    return [
        f"{path}: the link to {target} leads nowhere."
        for path in [*Path().glob("*.md"), *Path("docs").rglob("*.md")]
        for target in LINK.findall(path.read_text())
        if not target.startswith("http") and not (path.parent / target).exists()
    ]


def versions_of(function: str) -> list[int]:
    """Return the numbers of the function's files, in order."""
    folders = [path for root in ("carecollective", "messaging_v1", "rollout") for path in Path(root).rglob("sql")]
    found = [path.stem.rpartition("_v")[2] for folder in folders for path in folder.glob(f"{function}_v*.sql")]
    return sorted(int(number) for number in found if number.isdigit())


def problems_of_sql_files() -> list[str]:
    """Return the SQL functions' files that a document names although there is a newer version, or none."""
    return [
        f"{path}: {name}_v{version}.sql is not the newest version of the function."
        for path in [*Path().glob("*.md"), Path("docs/architecture.md")]
        for name, version in NAMED_SQL.findall(path.read_text())
        if versions_of(name)[-1:] != [int(version)]
    ]


if __name__ == "__main__":
    found = problems_of_records() + problems_of_links() + problems_of_sql_files()
    print("\n".join(found) or "The documents are in form.")
    sys.exit(bool(found))
