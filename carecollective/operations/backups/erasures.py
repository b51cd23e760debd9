"""Erases again, in a restored database, the members who were erased after the backup was made."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from uuid import UUID

import psycopg

from carecollective.core import erasure_ledger
from carecollective.operations.connections import connected
from carecollective.operations.contents import Say
from carecollective.operations.errors import OperationError

# A legacy database before the takeover has no erasure. After the takeover the worker does it.
_KNOWS_ERASURE = "SELECT to_regprocedure('public.privacy_erase_member(uuid)') IS NOT NULL"
_ARE_BACK = """
SELECT p.id FROM public.profiles AS p
WHERE p.id = ANY (%s) AND NOT EXISTS (SELECT FROM public.privacy_erasure AS e WHERE e.member_id = p.id) ORDER BY p.id
"""


def read_ledgers(dump: Path) -> Mapping[UUID, datetime] | None:
    """Return the members in the ledgers of BACKUP_DIR and beside the dump; None without a ledger. Raises OperationError."""
    try:
        return erasure_ledger.read(dump.parent) if erasure_ledger.exists(dump.parent) else None
    except OSError as problem:
        raise OperationError(f"The ledger of erased members cannot be read: {problem}.") from None


def erase_again(members: Mapping[UUID, datetime], url: str, *, say: Say) -> int:
    """Erase these members where the database still has them; return how many were erased.

    All of them or none. `url` is that of the tables' owner. Raises OperationError.
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
