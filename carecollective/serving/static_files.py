"""Collect the static files, when that is needed."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from django import get_version
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command


def collect_static_files(say: Callable[[str], object]) -> None:
    """Collect the static files into STATIC_ROOT if they, or what processes them, have changed."""
    folder = Path(settings.STATIC_ROOT)
    mark = folder.with_name(f"{folder.name}.sha256")
    digest = hashlib.sha256(f"{get_version()} {settings.STORAGES['staticfiles']}".encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            found = os.stat(storage.path(path))
            digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    if folder.is_dir() and mark.exists() and mark.read_text() == digest.hexdigest():
        return
    say("Collecting the static files …")
    call_command("collectstatic", interactive=False, verbosity=0)
    mark.write_text(digest.hexdigest())
