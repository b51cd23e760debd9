"""Letters of a site without a mail server: files, which hold links that open accounts, so nobody else may look at them."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.mail.backends import filebased


class FileBackend(filebased.EmailBackend):
    """Django's own, in a folder of the site's alone."""

    def __init__(self, *args: Any, **options: Any) -> None:
        folder = Path(settings.EMAIL_FILE_PATH)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        super().__init__(*args, **options)
