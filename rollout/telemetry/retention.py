"""Deletes events after EVENTS_RETENTION_DAYS."""

from carecollective.core.database import fetch_all


def prune_events() -> int:
    """Delete expired events in batches, and return how many. The database function knows the age."""
    pruned = 0
    while count := fetch_all("SELECT public.rollout_prune_events()")[0][0]:
        pruned += count
    return pruned
