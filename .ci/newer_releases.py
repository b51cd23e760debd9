"""Write an empty wheel of a newer release for each package that the lock files name: `newer_releases.py FOLDER LOCK…`."""

import re
import sys
import zipfile
from pathlib import Path

VERSION = "9999.0"


def write_wheel(folder: Path, package: str) -> None:
    name = re.sub(r"[-_.]+", "_", package)
    info = f"{name}-{VERSION}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{VERSION}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {VERSION}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def main(folder: Path, locks: list[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    locked = {
        name
        for lock in locks
        for name in re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*?\])?==", lock.read_text(), re.MULTILINE)
    }
    for package in sorted(locked):
        write_wheel(folder, package)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(lock) for lock in sys.argv[2:]])
