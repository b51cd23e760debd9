"""Erase again, in a restored database, whoever left after the backup was made."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from uuid import UUID

import psycopg
from django.conf import settings

from carecollective.core import erasure_ledger
from carecollective.operations.connections import connected
from carecollective.operations.contents import Say
from carecollective.operations.errors import OperationError

# A legacy database from before the takeover knows no erasure; the takeover is followed by the worker, which does it then.
_KNOWS_ERASURE = "SELECT to_regprocedure('public.privacy_erase_member(uuid)') IS NOT NULL"
_ARE_BACK = """
SELECT p.id FROM public.profiles AS p
WHERE p.id = ANY (%s) AND NOT EXISTS (SELECT FROM public.privacy_erasure AS e WHERE e.member_id = p.id) ORDER BY p.id
"""


def read_ledgers(dump: Path) -> Mapping[UUID, datetime] | None:
    """Return whom the ledgers beside the dump and in BACKUP_DIR name; None where there is none. Raises OperationError."""
    folders = [folder for folder in (settings.BACKUP_DIR, dump.parent) if erasure_ledger.exists(folder)]
    try:
        found = [erasure_ledger.read(folder) for folder in folders]
    except OSError as problem:
        raise OperationError(f"The ledger of erased members cannot be read: {problem}.") from None
    return {member: erased_at for ledger in found for member, erased_at in ledger.items()} if found else None


def erase_again(members: Mapping[UUID, datetime], url: str, *, say: Say) -> int:
    """Erase those of these members who are in the database and were not erased in it; return how many.

    All of them or nobody. `url` names the owner of the tables. Raises OperationError.
    """
    with connected(url) as session:
        if session.execute(_KNOWS_ERASURE).fetchone() != (True,):
            return 0
        try:
            back = [member for (member,) in session.execute(_ARE_BACK, [list(members)]).fetchall()]
            for number, member in enumerate(back, start=1):
                session.execute("SELECT set_config('app.user_id', %s, true)", [str(member)])
                session.execute("SELECT public.privacy_erase_member(%s)", [member])
                session.execute(
                    "UPDATE public.privacy_erasure SET erased_at = %s WHERE member_id = %s", [members[member], member]
                )
                say(f"Erased again: {number} of {len(back)} members")
        except psycopg.Error as problem:
            raise OperationError(
                "The backup is restored, and members who were erased after it was made are back: they could not be erased"
                f" again ({problem.diag.message_primary or type(problem).__name__}). The worker tries it once the site runs."
            ) from None
        return len(back)
