"""The mail that says why a reply was not taken, and gives its text back."""

from uuid import UUID

from django.utils.translation import gettext as _

from carecollective.accounts.models import User
from carecollective.core.database import acting_as
from carecollective.inbox.models import RefusedReply
from carecollective.inbox.notifications.letters import thread_link
from carecollective.inbox.replies.addresses import make_reply_address
from carecollective.mail.letters import Action, Letter, Part, Quote


def compose_reply_refused(member_id: UUID, reference: str) -> Letter | None:
    """Write why a reply was not posted, with its text; None when it is gone. The text is deleted once the mail is out."""
    member = User.objects.get(pk=member_id)
    with acting_as(member):
        refused = RefusedReply.objects.filter(mail__reference=reference, member=member).first()
    if refused is None:
        return None
    kept: list[Part] = [_("This is what you wrote:"), Quote(refused.content)] if refused.content else []
    return Letter(
        _("Your answer was not delivered"),
        [
            _("Your answer by e-mail did not reach the conversation. %(reason)s") % {"reason": refused.reason},
            *kept,
            Action(_("Answer on the site"), thread_link(refused.conversation_id)),
        ],
        name=member.name,
        reply_to=make_reply_address(member_id, refused.conversation_id),
        after=lambda: _forget(member, refused),
    )


def _forget(member: User, refused: RefusedReply) -> None:
    with acting_as(member):
        RefusedReply.objects.filter(pk=refused.pk).delete()
