"""What the worker throws away that no other room of the house has a task for."""

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.db.models.functions import Now

from carecollective.core.retention import FAILED_SIGN_INS_KEPT


def prune_failed_sign_ins() -> int:
    """Delete what was noted of failed sign-ins, addresses and all, once no lock-out needs it; return how many."""
    old = {"attempt_time__lt": Now() - FAILED_SIGN_INS_KEPT}
    return sum(model.objects.filter(**old).delete()[0] for model in (AccessAttempt, AccessFailureLog, AccessLog))
