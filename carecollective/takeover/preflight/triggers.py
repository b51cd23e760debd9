"""Legacy triggers that would fail when the site writes: they run with the site's rights, which do not suffice."""

import re
from collections.abc import Iterator, Mapping

from carecollective.core.catalog.snapshot import load_snapshot
from carecollective.core.database import fetch_all
from carecollective.postgres.dsn import ROLE_NAMES
from carecollective.takeover.preflight.columns import TABLES
from carecollective.takeover.preflight.findings import PreflightFinding

_TRIGGERS = """
SELECT t.tgname, c.relname, p.oid FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND c.relnamespace = 'public'::regnamespace
  -- Inserts and updates: the site deletes none of these rows.
  AND c.relname = ANY (%s) AND (t.tgtype & 20) <> 0 AND NOT p.prosecdef
ORDER BY 2, 1
"""
_FUNCTION = "SELECT p.oid::regprocedure::text, p.prosrc, p.prosecdef FROM pg_proc p WHERE p.oid = %s"
_TABLE = """
SELECT format('%%I.%%I', n.nspname, c.relname), c.relname, n.nspname = 'public', c.relrowsecurity,
       has_schema_privilege('public', n.oid, 'USAGE') OR n.nspname = 'public',
       ARRAY(SELECT right_wanted FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) right_wanted
             WHERE has_table_privilege('public', c.oid, right_wanted))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%%'
"""
_CALLED = """
SELECT p.oid, has_function_privilege('public', p.oid, 'EXECUTE') FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.proname = %s AND n.nspname = coalesce(NULLIF(%s, ''), 'public')
"""
_ON_MESSAGES = """
SELECT p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND (t.tgtype & 4) <> 0 AND t.tgrelid = to_regclass('public.messages')
"""
KEEPS_ORDER = (
    "CREATE FUNCTION public.keep_last_message_at() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE public.conversations"
    " SET last_message_at = NEW.created_at, updated_at = NEW.created_at WHERE id = NEW.conversation_id; RETURN NEW; END $$;"
    " CREATE TRIGGER keep_last_message_at AFTER INSERT ON public.messages FOR EACH ROW"
    " EXECUTE FUNCTION public.keep_last_message_at();"
)
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TEXTS = re.compile(r"'(?:[^']|'')*'")
_NAME = r'((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?)'
_WRITES = (
    ("INSERT", re.compile(rf"\bINSERT\s+INTO\s+{_NAME}", re.IGNORECASE)),
    ("DELETE", re.compile(rf"\bDELETE\s+FROM\s+(?:ONLY\s+)?{_NAME}", re.IGNORECASE)),
    ("SELECT", re.compile(rf"(?<!DELETE )\b(?:FROM|JOIN)\s+(?:ONLY\s+)?{_NAME}", re.IGNORECASE)),
)
_UPDATES = re.compile(
    rf"\bUPDATE\s+(?:ONLY\s+)?{_NAME}(?:\s+(?:AS\s+)?\w+)?\s+SET\s+(.*?)(?:\bWHERE\b|\bFROM\b|\bRETURNING\b|;)",
    re.IGNORECASE | re.DOTALL,
)
_COLUMNS = re.compile(r"(?:^|,)\s*(\w+)\s*=")
_CALLS = re.compile(r'(?<![\w".])(?:("?\w+"?)\.)?("?\w+"?)\s*\(')


def find_failing_triggers() -> Iterator[PreflightFinding]:
    """Look in the source of each trigger's function, and of what it calls, for rights that the site's role lacks.

    What this reading of the source misses, the takeover's rehearsal finds.
    """
    granted = _granted()
    for name, table, function in fetch_all(_TRIGGERS, [list(TABLES)]):
        called, *_rest = fetch_all(_FUNCTION, [function])[0]
        if wants := sorted(set(_wants(function, granted, set()))):
            yield PreflightFinding(
                f"The trigger {name} on {table} runs as the role that writes, and its function needs {', '.join(wants)},"
                " which the site's role does not have.",
                f"As the owner of the function: ALTER FUNCTION {called} SECURITY DEFINER SET search_path = public, pg_temp;",
            )


def _granted() -> Mapping[str, str]:
    """Return what the site's role will be granted on each table, as in "INSERT, SELECT, UPDATE (status)"."""
    suffix = f" to {ROLE_NAMES['web']}"
    grants = load_snapshot().ours["Grants"]
    return {name.removesuffix(suffix): rights for name, rights in grants.items() if name.endswith(suffix)}


def _wants(function: int, granted: Mapping[str, str], seen: set[int]) -> Iterator[str]:
    if function in seen:
        return
    seen.add(function)
    source = _TEXTS.sub("''", _COMMENTS.sub(" ", fetch_all(_FUNCTION, [function])[0][1] or ""))
    for right, pattern in _WRITES:
        for written in pattern.findall(source):
            yield from _lacks(written, right, (), granted)
    for written, assignments in _UPDATES.findall(source):
        yield from _lacks(written, "UPDATE", tuple(_COLUMNS.findall(assignments)), granted)
    for schema, name in _CALLS.findall(source):
        for called, everybody_may in fetch_all(_CALLED, [name.strip('"'), schema.strip('"')]):
            words, _source, on_owners_rights = fetch_all(_FUNCTION, [called])[0]
            if not everybody_may:
                yield f"EXECUTE on {words}"
            elif not on_owners_rights:
                yield from _wants(called, granted, seen)


def _lacks(written: str, right: str, columns: tuple[str, ...], granted: Mapping[str, str]) -> Iterator[str]:
    """Yield the right, in words, if neither everybody nor the site's role has it. Ignores names that are no table."""
    for table, relname, is_public, is_secured, may_enter, everybodys in fetch_all(_TABLE, [written]):
        ours = granted.get(relname, "") if is_public else ""
        rights = ours.split(", ")
        if right in rights or (columns and all(f"UPDATE ({column})" in rights for column in columns)):
            continue
        # With row-level security, our role has policies on our own tables only.
        if right in everybodys and may_enter and (ours or not is_secured):
            continue
        yield f"{right} on {table}"


def find_missing_order_trigger() -> Iterator[PreflightFinding]:
    """Look for a trigger on messages that brings a conversation to the top of the inbox."""
    if not fetch_all("SELECT WHERE to_regclass('public.messages') IS NOT NULL"):
        return
    if not any("last_message_at" in (source or "") for (source,) in fetch_all(_ON_MESSAGES)):
        yield PreflightFinding(
            "No trigger on messages keeps conversations.last_message_at, so that a new message would not bring its"
            " conversation to the top.",
            f"As the owner: {KEEPS_ORDER}",
        )
