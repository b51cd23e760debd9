from django.utils.translation import gettext_lazy as _

from carecollective.core.errors import DomainError


class PromotionRefused(DomainError):
    """The step up leaves out a stage, and nobody said that it should."""

    code = "promotion_refused"
    status = 409
    message = _("This would skip a stage of the rollout. Take the stages one by one, or override with a reason.")


class NothingToChange(DomainError):
    code = "nothing_to_change"
    status = 409
    message = _("The rollout is already there; nothing was changed.")
