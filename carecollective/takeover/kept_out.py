"""Keeps out members whom the legacy system had banned, deleted or restricted, wherever it says so."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db import connection

from carecollective.core.database import fetch_all

# A legacy status with one of these words keeps a member out.
EXCLUDING_WORDS = (
    "banned",
    "blocked",
    "closed",
    "deactivated",
    "deleted",
    "disabled",
    "inactive",
    "locked",
    "removed",
    "restricted",
    "suspended",
)
# A restriction with one of these words is over, or keeps nobody out.
LIFTED_WORDS = (
    "cancelled",
    "ended",
    "expired",
    "inactive",
    "lifted",
    "none",
    "normal",
    "removed",
    "revoked",
    "warning",
)

_STATUS_COLUMN = re.compile(r"(legacy_)?((account|member|membership|user|verification|moderation)_)?status")
_FLAG_COLUMN = re.compile(r"(is_)?(banned|blocked|deactivated|deleted|disabled|locked|restricted|suspended)")
_MAY_COLUMN = re.compile(r"(legacy_)?(is_)?(active|enabled)")
_SINCE_COLUMN = re.compile(r"(banned|blocked|deactivated|deleted|disabled|suspended)_at")
_UNTIL_COLUMN = re.compile(r"(banned|blocked|locked|restricted|suspended)_until|(ban|suspension)_ends_at")
_REASON_COLUMN = re.compile(r"(ban|banned|block|blocked|deactivation|restriction|status|suspended|suspension)_reason")

_RESTRICTION_TABLE = re.compile(
    r"((user|member|profile|account)_)?(restriction|suspension|sanction|ban)s?|"
    r"(banned|restricted|suspended)_(user|member|profile|account)s?"
)
_WHO = ("user_id", "member_id", "profile_id", "account_id")
_KINDS = ("restriction", "restriction_type", "restriction_level", "level", "type", "kind", "status")
_REASONS = ("reason", "note", "notes", "description")
_ENDS = (
    "ends_at",
    "expires_at",
    "until",
    "end_date",
    "expires_on",
    "banned_until",
    "suspended_until",
    "restricted_until",
)
_LIFTED = ("lifted_at", "revoked_at", "removed_at", "ended_at", "cancelled_at")
_ACTIVE = ("is_active", "active")

# Members who never confirmed their address could not sign in before: they wait for approval. Staff among them may not sign in.
_KEEP_OUT = """
WITH why AS (
  SELECT member, array_agg(DISTINCT kind) AS kinds, string_agg(DISTINCT reason, '; ') AS reason
  FROM ({found}) found WHERE reason IS NOT NULL GROUP BY member
), kept AS (
  UPDATE profiles p SET
    kept_out_reason = why.reason,
    is_active = p.is_active AND why.kinds = '{{unconfirmed}}' AND NOT coalesce(p.is_admin, false),
    verification_status = CASE WHEN 'unconfirmed' = ANY (why.kinds) AND p.verification_status::text = 'approved'
      THEN 'pending' ELSE p.verification_status END
  FROM why WHERE p.id::text = why.member AND (p.kept_out_reason IS NULL OR %(again)s)
  RETURNING p.id, why.kinds
), unconfirmed AS (
  UPDATE account_emailaddress a SET verified = false FROM kept
  WHERE a.user_id = kept.id AND 'unconfirmed' = ANY (kept.kinds)
)
SELECT kind, count(*) FROM kept, unnest(kinds) kind GROUP BY kind
"""


@dataclass(frozen=True, slots=True)
class KeptOut:
    """How many members were kept out, by reason. One member may count for several."""

    banned: int = 0
    deleted: int = 0
    unconfirmed: int = 0
    restricted: int = 0


def keep_out(*, again: bool) -> KeptOut:
    """Keep out whom the legacy system excluded, and note the reason for staff.

    With `again`, members whom an earlier run kept out are kept out and counted again; otherwise they are left alone.
    """
    statement = _KEEP_OUT.format(found=" UNION ALL ".join(_sources()))
    return KeptOut(**{kind: int(count) for kind, count in fetch_all(statement, {"again": again})})


def list_unreadable_restrictions() -> list[str]:
    """Return the tables that seem to hold restrictions but have no column for the member."""
    return [table for table, columns in _restriction_tables() if not _first(_WHO, columns)]


def _sources() -> Iterator[str]:
    """Yield statements that select member, kind and reason. The reason is NULL for members who may take part."""
    yield from _from_sign_ins(_columns("auth", "users"))
    yield from _from_profiles(_columns("public", "profiles"))
    for table, columns in _restriction_tables():
        if _first(_WHO, columns):
            yield _from_restrictions(table, columns)


def _from_sign_ins(columns: Mapping[str, str]) -> Iterator[str]:
    if columns.get("banned_until") == "D":
        yield _select(
            "u.id", "banned", f"'banned until ' || {_day('banned_until')}", "auth.users u", "banned_until > now()"
        )
    if columns.get("deleted_at") == "D":
        yield _select(
            "u.id", "deleted", f"'deleted on ' || {_day('deleted_at')}", "auth.users u", "deleted_at IS NOT NULL"
        )
    if "email_confirmed_at" in columns:
        confirmed = " AND ".join(
            f"{name} IS NULL"
            for name in ("email_confirmed_at", "confirmed_at", "phone_confirmed_at")
            if name in columns
        )
        yield _select("u.id", "unconfirmed", "'never confirmed the e-mail address'", "auth.users u", confirmed)


def _from_profiles(columns: Mapping[str, str]) -> Iterator[str]:
    why = _text_of([name for name in columns if _REASON_COLUMN.fullmatch(name)])
    for name, category in columns.items():
        quoted = connection.ops.quote_name(name)
        stem = name.removeprefix("is_").removesuffix("_at").removesuffix("_until")
        kind = {"banned": "banned", "deleted": "deleted"}.get(stem, "restricted")
        until = f"{stem}_until" if columns.get(f"{stem}_until") == "D" else None
        if _UNTIL_COLUMN.fullmatch(name) and category == "D":
            reason, condition = f"'{stem} until ' || {_day(quoted)}", f"{quoted} > now()"
        elif _FLAG_COLUMN.fullmatch(name) and category in "BN":
            over = f" AND coalesce({until} > now(), true)" if until else ""
            reason, condition = f"'{stem}'", f"{quoted}::int <> 0{over}"
        elif _MAY_COLUMN.fullmatch(name) and name != "is_active" and category in "BN":
            reason, condition = "'made inactive'", f"{quoted}::int = 0"
        elif _SINCE_COLUMN.fullmatch(name) and category == "D":
            # A member who was let in again may still have this date: other columns say more.
            if until or stem in columns or f"is_{stem}" in columns:
                continue
            reason, condition = f"'{stem} on ' || {_day(quoted)}", f"{quoted} IS NOT NULL"
        elif _STATUS_COLUMN.fullmatch(name) and category in "SE":
            words = ", ".join(f"'{word}'" for word in EXCLUDING_WORDS)
            reason, condition = f"{quoted}::text", f"lower({quoted}::text) IN ({words})"
        else:
            continue
        yield _select("id", kind, f"concat_ws(': ', {reason}, {why})", "public.profiles", condition)


def _from_restrictions(table: str, columns: Mapping[str, str]) -> str:
    who = _first(_WHO, columns)
    quoted = connection.ops.quote_name
    kinds = [name for name in _KINDS if columns.get(name, "-") in "SE"]
    until = next((name for name in _ENDS if columns.get(name) == "D"), None)
    holds = [f"{quoted(until)} IS NULL OR {quoted(until)} > now()"] if until else []
    holds += [f"{quoted(name)} IS NULL" for name in _LIFTED if name in columns]
    holds += [f"coalesce({quoted(name)}::int, 1) <> 0" for name in _ACTIVE if columns.get(name, "-") in "BN"]
    over = ", ".join(f"'{word}'" for word in LIFTED_WORDS)
    holds += [f"coalesce(lower({quoted(name)}::text), '') NOT IN ({over})" for name in kinds]
    texts = [f"coalesce({_text_of(kinds)}, 'restricted')", _text_of([name for name in _REASONS if name in columns])]
    reason = f"concat_ws(': ', {', '.join(texts)})" + (
        f" || coalesce(' until ' || {_day(quoted(until))}, '')" if until else ""
    )
    return _select(quoted(who), "restricted", reason, table, " AND ".join(f"({one})" for one in holds) or "true")


def _select(member: str, kind: str, reason: str, source: str, condition: str) -> str:
    # Names come from the catalogue, quoted.
    return f"SELECT {member}::text AS member, '{kind}' AS kind, {reason} AS reason FROM {source} WHERE {condition}"  # noqa: S608


def _day(column: str) -> str:
    return f"{column}::date::text"


def _text_of(columns: list[str]) -> str:
    """Return an expression that joins the text of these columns, NULL without any."""
    if not columns:
        return "NULL::text"
    texts = ", ".join(f"NULLIF(btrim({connection.ops.quote_name(name)}::text), '')" for name in columns)
    return f"NULLIF(concat_ws(', ', {texts}), '')"


def _first(names: tuple[str, ...], columns: Mapping[str, str]) -> str:
    return next((name for name in names if name in columns), "")


def _restriction_tables() -> list[tuple[str, Mapping[str, str]]]:
    tables = [name for (name,) in fetch_all("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]
    return [
        (f"public.{connection.ops.quote_name(name)}", _columns("public", name))
        for name in tables
        if _RESTRICTION_TABLE.fullmatch(name)
    ]


def _columns(schema: str, table: str) -> Mapping[str, str]:
    """Return the type category of each column: B boolean, N number, D date or time, S text, E enumerated."""
    return dict(
        fetch_all(
            """
            SELECT a.attname, CASE WHEN t.typtype = 'd' THEN base.typcategory ELSE t.typcategory END
            FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type base ON base.oid = t.typbasetype
            WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
            """,
            [schema, table],
        )
    )
