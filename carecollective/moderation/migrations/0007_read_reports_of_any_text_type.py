"""Legacy reports and messages may keep their words as enumerated types or varchar; staff read them as text."""

import importlib
import re

from django.db import migrations

reports = importlib.import_module(
    "carecollective.moderation.migrations.0003_show_staff_legacy_system_messages_as_nobodys"
)
shown = importlib.import_module("carecollective.moderation.migrations.0006_show_only_by_a_noted_look")

CASTS = (
    ("r.reason, coalesce(r.description,", "r.reason::text, coalesce(r.description::text,"),
    ("coalesce(r.status,", "coalesce(r.status::text,"),
    (
        "m.content, m.created_at'\n            ' FROM public.messages ",
        "m.content::text, m.created_at'\n            ' FROM public.messages ",
    ),
    ("m.message_type = ''text''", "coalesce(m.message_type::text, ''text'') = ''text''"),
)


def definition_of(function: str, statements: str) -> str:
    """Return the statement that makes the function, so that it replaces the one there and keeps owner and grants."""
    (found,) = re.findall(rf"CREATE (?:OR REPLACE )?(FUNCTION public\.{function}\(.*?\n\$\$;)", statements, re.DOTALL)
    return f"CREATE OR REPLACE {found}"


def cast(definition: str) -> str:
    for words, as_text in CASTS:
        definition = definition.replace(words, as_text)
    return definition


BEFORE = "\n".join(
    (definition_of("moderation_legacy_reports", reports.FORWARDS), definition_of("moderation_show", shown.FUNCTIONS))
)


class Migration(migrations.Migration):
    dependencies = [("moderation", "0006_show_only_by_a_noted_look")]

    operations = [migrations.RunSQL(cast(BEFORE), BEFORE)]
