"""Mail of a site without a mail server: one file each, private because mail holds links that open accounts."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from carecollective.core.retention import MAIL_KEPT
from carecollective.mail.letters import LetterMessage

# An earlier release wrote several mails to one .log file.
SUFFIXES = (".eml", ".log")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class FileBackend(BaseEmailBackend):
    """Writes each mail to its own file, in a folder that only the site's user can open."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        folder = Path(settings.EMAIL_FILE_PATH)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        for message in email_messages:
            known = _UUID.search(message.extra_headers.get("Message-ID", ""))
            name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{known[0] if known else uuid4()}.eml"
            written = message.message()
            if isinstance(message, LetterMessage) and message.about:
                written["X-About"] = " ".join(sorted(str(member_id) for member_id in message.about))
            (folder / name).write_bytes(written.as_bytes())
        return len(email_messages)


def prune_files() -> int:
    """Delete the files of mail that are over 30 days old; return how many. For the worker."""
    too_old = time.time() - MAIL_KEPT.total_seconds()
    return _delete(path for path in _files() if path.stat().st_mtime < too_old)


def delete_files_about(*, address: str | None, ids: Iterable[UUID]) -> int:
    """Delete the files that name this address or one of these ids; return how many."""
    wanted = [re.escape(str(one)) for one in ids]
    if address:
        # The whole address only: not joann@example.org or ann@example.org.uk for ann@example.org.
        wanted.append(rf"(?<![\w.+-]){re.escape(address)}(?!\.?[\w-])")
    if not wanted:
        return 0
    pattern = re.compile("|".join(wanted), re.IGNORECASE)
    return _delete(
        path for path in _files() if pattern.search(path.name + path.read_text(encoding="utf-8", errors="replace"))
    )


def _files() -> Iterator[Path]:
    folder = Path(settings.EMAIL_FILE_PATH)
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES)


def _delete(paths: Iterable[Path]) -> int:
    deleted = 0
    for path in paths:
        path.unlink(missing_ok=True)
        deleted += 1
    return deleted
