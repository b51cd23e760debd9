"""No secret is in the repository: keys, tokens and passwords by the shapes that their makers give them."""

import re
import subprocess
from pathlib import Path

import pytest

from tests import databases

SHAPES = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "a cloud key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a forge's token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}|glpat-[\w-]{20,})",
    "a chat's hook or token": r"hooks\.slack\.com/services/T\w+/B\w+/\w{20,}|\bxox[abprs]-[\w-]{20,}",
    "a package index's token": r"\bpypi-[\w-]{60,}|\bnpm_[A-Za-z0-9]{36}\b",
    "a payment key": r"\b[rs]k_live_[A-Za-z0-9]{20,}",
    "a signed token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}",
    "Sentry's secret": r"https://[0-9a-f]{32}(?::[0-9a-f]{32})?@[\w.-]*sentry",
    "Django's key": r"SECRET_KEY\s*[:=]\s*[\"'](?!long enough)[^\"'\s{$]{32,}[\"']",
    "a password in an address": r"postgres(?:ql)?://[\w-]+:(?!none@|password@|theirs@|secret@|x@|\{)[^@\s\"'/{}<]{12,}@",
}
NOT_TEXT = {".png", ".gz", ".woff2", ".ico", ".zip", ".dump"}


def kept_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=databases.ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a checkout: there is no list of what is kept")
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [path for name in names if (path := databases.ROOT / name).is_file() and path.suffix not in NOT_TEXT]


def test_nothing_in_the_repository_looks_like_a_secret() -> None:
    found = []
    for path in kept_files():
        text = path.read_text(errors="replace")
        for what, shape in SHAPES.items():
            found += [f"{path.relative_to(databases.ROOT)}: {what}" for _match in re.finditer(shape, text)]
    assert not [line for line in found if not line.startswith("tests/hostile/test_secrets.py")]


@pytest.mark.parametrize(
    ("what", "example"),
    [
        ("a private key", "-----BEGIN RSA " + "PRIVATE KEY-----"),
        ("a cloud key", "AKIA" + "ABCDEFGHIJKLMNOP"),
        ("a forge's token", "ghp_" + "a1" * 20),
        ("Django's key", 'SECRET_KEY = "' + "k" * 50 + '"'),
        ("a password in an address", "postgresql://owner:" + "S3cretEnough" + "@db/care"),
    ],
)
def test_the_scan_would_see_one(what: str, example: str) -> None:
    assert re.search(SHAPES[what], example)


def test_what_holds_secrets_is_not_kept() -> None:
    names = {path.name for path in kept_files()}
    assert not names & {".env", "secret_key", ".pgpass", "id_rsa"}
