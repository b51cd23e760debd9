"""How two members stand, by a statement by hand."""

from carecollective.postgres.backend.prepared import Prepared

# The columns of a Standing, in its order, of `public.safety_standing(…) standing`.
STANDING_COLUMNS = (
    "standing.blocked_by_me, standing.blocked_by_other, standing.other_is_member, standing.no_offers_until,"
    " standing.no_messages_until, standing.daily_limit, standing.written_today"
)
STANDING = Prepared(f"SELECT {STANDING_COLUMNS} FROM public.safety_standing(%s) standing")  # noqa: S608 -- our own text
