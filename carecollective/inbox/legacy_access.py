"""Can V1 conversations still be read? Opens some of them the way their members do."""

from uuid import UUID

from django.utils.translation import gettext as _

from carecollective.accounts.models import User
from carecollective.core.errors import DomainError
from carecollective.inbox.selectors import list_conversations, open_thread
from rollout.promotion.automated_checks import CheckResult, failed, passed
from rollout.telemetry.metrics import active_conversations
from rollout.versions import MessagingVersion

ENOUGH = 20
MEMBERS_ASKED = 200


def check_v1_access() -> CheckResult:
    """Open up to 20 V1 conversations, each as a member who takes part in it, and leave them unread."""
    kept = next((found.active for found in active_conversations() if found.version == "v1"), 0)
    read: set[UUID] = set()
    for member in User.objects.filter(is_active=True).order_by("created_at", "pk")[:MEMBERS_ASKED]:
        for row in list_conversations(reader=member, cursor=None, size=100).rows:
            if row.version is not MessagingVersion.V1:
                continue
            try:
                open_thread(reader=member, conversation_id=row.id, mark_read=False)
            except DomainError as problem:
                return failed(_("A V1 conversation could not be opened (%(code)s).") % {"code": problem.code})
            read.add(row.id)
        if len(read) >= ENOUGH:
            break
    if kept and not read:
        said = {"kept": kept}
        return failed(_("%(kept)d V1 conversations are kept, and no member asked could see one.") % said)
    if not read:
        return passed(_("There is no V1 conversation to read."))
    return passed(_("%(read)d V1 conversations were opened as their members.") % {"read": len(read)})
