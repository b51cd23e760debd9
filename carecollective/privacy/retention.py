"""The retention of failed sign-ins."""

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.db.models.functions import Now

from carecollective.core.retention import FAILED_SIGN_INS_KEPT


def prune_failed_sign_ins() -> int:
    """Delete the records of failed sign-ins that no lock-out needs any more; return how many. For the worker."""
    old = {"attempt_time__lt": Now() - FAILED_SIGN_INS_KEPT}
    return sum(model.objects.filter(**old).delete()[0] for model in (AccessAttempt, AccessFailureLog, AccessLog))
