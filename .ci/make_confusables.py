"""Write carecollective/accounts/names/confusables.txt from Unicode's confusables.txt: make_confusables.py PATH.

Unicode publishes that file at https://www.unicode.org/Public/security/latest/confusables.txt.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

TARGET = Path(__file__).parent.parent / "carecollective/accounts/names/confusables.txt"
MAPPING = re.compile(r"^([0-9A-F]+)\s*;\s*([0-9A-F ]+?)\s*;\s*MA\b", re.MULTILINE)
HEADER = """\
# Characters that look alike, from Unicode's confusables.txt {version}, by .ci/make_confusables.py. Do not edit.
# {copyright} Licensed under the Unicode License V3: https://www.unicode.org/license.txt
# Each line: what the characters look like, and the characters, as hexadecimal code points.
"""


def main() -> None:
    text = Path(sys.argv[1]).read_text(encoding="utf-8-sig")
    sources: dict[str, list[str]] = defaultdict(list)
    for source, prototype in MAPPING.findall(text):
        sources[prototype].append(source)
    version = re.search(r"^# Version: (\S+)", text, re.MULTILINE)
    notice = re.search(r"^# (© .*)$", text, re.MULTILINE)
    if not (version and notice and sources):
        raise SystemExit("This is not Unicode's confusables.txt.")
    lines = [f"{prototype};{' '.join(found)}\n" for prototype, found in sorted(sources.items())]
    TARGET.write_text(HEADER.format(version=version[1], copyright=notice[1]) + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
