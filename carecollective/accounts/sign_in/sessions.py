"""Sessions in the database: whose they are, and when they were last used. They end when nobody uses them for a while."""

import hashlib
import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.core import signing
from django.utils import timezone

from carecollective.accounts.models import MemberSession, User
from carecollective.core.database import fetch_one, model_from_row
from carecollective.core.errors import DomainNotFound
from carecollective.postgres.backend.prepared import Prepared

_WELL_FORMED = re.compile(r"[a-z0-9]{32}", re.ASCII)
_ID_LENGTH = 16
# A session in use is written again after this long, not at each request.
SLIDES_AFTER = timedelta(minutes=15)
_SYSTEMS = ("iPhone", "iPad", "Android", "Windows", "Mac", "CrOS", "Linux")
_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("FxiOS", "Firefox"), ("Chrome", "Chrome"))
_MORE_BROWSERS = (("CriOS", "Chrome"), ("Safari", "Safari"))
_COLUMNS = ("session_key", "session_data", "expire_date", "member_id", "created_at", "seen_at", "device")
_MEMBER_COLUMNS = (
    "password", "last_login", "is_superuser", "id", "email", "name", "location", "is_staff", "is_beta_tester", "is_active",
    "verification_status", "rejection_reason", "approved_at", "created_at", "wanted_path", "signed_out_at", "unseen_notice_at",
)  # fmt: skip
_MEMBER = """
member.password::text, member.last_login, member.is_superuser, member.id, member.email::text, member.name::text,
member.location::text, member.is_admin, member.is_beta_tester, member.is_active, member.verification_status::text,
member.rejection_reason::text, member.approved_at, member.created_at, member.wanted_path::text, member.signed_out_at,
member.unseen_notice_at
"""
# Each page reads both. Instead of `MemberSession.objects.get(session_key=…, expire_date__gt=…)` and `User.objects.get(pk=…)`.
_READ = Prepared(f"""
SELECT session_key::text, session_data::text, expire_date, member_id, session.created_at, seen_at, device::text, {_MEMBER}
FROM django_session session LEFT JOIN profiles member ON member.id = session.member_id
WHERE session_key = %s AND expire_date > %s
""")  # noqa: S608 -- our own text
_READ_MEMBER = Prepared(f"SELECT {_MEMBER} FROM profiles member WHERE member.id = %s")  # noqa: S608 -- our own text


class _AsItIs(signing.JSONSerializer):
    """A serializer that leaves the bytes as they are."""

    def loads(self, data: bytes) -> bytes:
        return data


@lru_cache(maxsize=1_000)
def _verified(session_data: str, salt: str) -> bytes:
    """Return what was signed. Raises BadSignature. A session is signed anew when it changes, or after SLIDES_AFTER."""
    signed: bytes = signing.loads(session_data, salt=salt, serializer=_AsItIs)
    return signed


class SessionStore(db.SessionStore):
    """Django's session store, which knows the member, and makes no queries for cookies that are not ours.

    A quoted cookie can hold NUL, which the database refuses with an error.
    """

    row: MemberSession | None = None
    # Whom the row names, read together with it.
    member: User | None = None
    device = ""
    is_staffs = False

    @classmethod
    def get_model_class(cls) -> type[MemberSession]:
        return MemberSession

    def get_session_cookie_age(self) -> int:
        age: int = settings.STAFF_SESSION_SECONDS if self.is_staffs else settings.SESSION_COOKIE_AGE
        return age

    def create_model_instance(self, data: dict[str, Any]) -> MemberSession:
        session = cast("MemberSession", super().create_model_instance(data))
        before = self.row if self.row is not None and self.row.session_key == session.session_key else None
        session.member_id = data.get(SESSION_KEY)
        session.seen_at = timezone.now()
        session.created_at = before.created_at if before and before.created_at else session.seen_at
        session.device = self.device or (before.device if before else "")
        return session

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        """Return what the session holds, or nothing where its signature is false. Verifying takes longest, and is done once."""
        try:
            data: dict[str, Any] = self.serializer().loads(_verified(str(session_data), self.key_salt))
        except (signing.BadSignature, ValueError):
            # Django's own says what is wrong.
            data = super().decode(session_data)
        return data

    def _get_session_from_db(self) -> MemberSession | None:
        row = fetch_one(_READ, [self.session_key, timezone.now()])
        self.row = self.member = None
        if row is None:
            self._session_key = None
            return None
        self.row = model_from_row(MemberSession, _COLUMNS, row[: len(_COLUMNS)])
        self.member = _member_from(row[len(_COLUMNS) :])
        return self.row

    def _validate_session_key(self, key: Any) -> bool:
        return isinstance(key, str) and _WELL_FORMED.fullmatch(key) is not None


# The session whose member Django is asking for.
_asked: ContextVar[SessionStore | None] = ContextVar("session_asked", default=None)


def asking_for_member(session: SessionStore, ask: Callable[[], Any]) -> Any:
    """Call `ask`, in which `member_of_session` need not read anew whom this session names."""
    token = _asked.set(session)
    try:
        return ask()
    finally:
        _asked.reset(token)


def member_of_session(member_id: UUID) -> User | None:
    """Return the member that a session names, as it was read with the session, or by itself."""
    session = _asked.get()
    if session is not None and session.member is not None and session.member.pk == member_id:
        return session.member
    row = fetch_one(_READ_MEMBER, [member_id])
    return _member_from(row) if row else None


def _member_from(row: Sequence[Any]) -> User | None:
    member = model_from_row(User, _MEMBER_COLUMNS, row)
    # The outer join gives a row without a member.
    return member if member.pk else None


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as its member sees it. `id` is the beginning of a hash of its key."""

    id: str
    device: str
    created_at: datetime | None
    seen_at: datetime | None
    is_current: bool


def device_name(user_agent: str) -> str:
    """Return a coarse name such as "Firefox on Android", made of a few words of ours."""
    system = next((name for name in _SYSTEMS if name in user_agent), "")
    browser = next((name for mark, name in _BROWSERS + _MORE_BROWSERS if mark in user_agent), "")
    return f"{browser} on {system}" if browser and system else browser or system


def list_sessions(*, member: User, current_key: str | None) -> Sequence[SessionRecord]:
    """Return the member's sessions, the last used first."""
    alive = MemberSession.objects.filter(member_id=member.pk, expire_date__gt=timezone.now())
    return [
        SessionRecord(
            id=_id_of(session.session_key),
            device=session.device,
            created_at=session.created_at,
            seen_at=session.seen_at,
            is_current=session.session_key == current_key,
        )
        for session in alive.order_by("-seen_at", "session_key")
    ]


def end_session(*, actor: User, session_id: str) -> None:
    """End one of the member's own sessions. Raises DomainNotFound, also for sessions of others."""
    keys = MemberSession.objects.filter(member_id=actor.pk).values_list("session_key", flat=True)
    theirs = [key for key in keys if _id_of(key) == session_id]
    if not MemberSession.objects.filter(session_key__in=theirs or ["-"]).delete()[0]:
        raise DomainNotFound


def end_other_sessions(*, actor: User, current_key: str | None) -> None:
    """End all of the member's sessions but this one."""
    MemberSession.objects.filter(member_id=actor.pk).exclude(session_key=current_key or "-").delete()


def _id_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:_ID_LENGTH]
