"""How long what was measured is kept."""

from django.db import connection


def prune_events() -> int:
    """Delete the events that are too old, a batch at a time; return how many. The database knows how old that is."""
    pruned = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT public.rollout_prune_events()")
            (count,) = cursor.fetchone()
            if not count:
                return pruned
            pruned += count
