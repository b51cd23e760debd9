"""One thing to break, and the names that the mutants are made of."""

from dataclasses import dataclass

WEB, OPERATIONS, GUARD = "carecollective_web", "carecollective_ops", "carecollective_guard"
SOMEBODY = "DO $$ BEGIN CREATE ROLE somebody; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
SPY = (
    "CREATE OR REPLACE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    " REVOKE EXECUTE ON FUNCTION spy() FROM PUBLIC;"
)


@dataclass(frozen=True, slots=True)
class CatalogMutant:
    """What it breaks in words, how, and which fact of which part must differ.

    Mutants share a look with others of their `company`; `alone` keeps one to itself.
    """

    breaks: str
    statements: str
    part: str
    fact: str
    alone: bool = False
    company: str = ""
