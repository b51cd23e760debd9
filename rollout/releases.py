"""Which release of the site runs. Signatures are given for a release."""

import subprocess
from functools import lru_cache

from django.conf import settings


@lru_cache(maxsize=1)
def current_release() -> str:
    """Return RELEASE, else the checked-out commit, else "unknown"."""
    if settings.RELEASE:
        return str(settings.RELEASE)
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=2, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip() or "unknown"
