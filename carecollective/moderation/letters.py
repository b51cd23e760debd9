"""The mails of moderation: to whom staff acted on, and to who reported."""

from collections.abc import Iterator
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from carecollective.accounts.models import User
from carecollective.core.database import acting_as
from carecollective.mail.letters import Action, Letter, Part, Quote
from carecollective.moderation.models import ActKind, Report, ReportAbout, ReportOutcome
from carecollective.moderation.selectors import Notice, find_notice
from carecollective.safety.models import RestrictionKind


def compose_notice(member_id: UUID, act_id: str) -> Letter | None:
    """Tell a member what staff did about them, or took back; None when the member is gone."""
    member = User.objects.filter(pk=member_id).first()
    notice = find_notice(member=member, act_id=UUID(act_id)) if member else None
    if member is None or notice is None:
        return None
    parts: list[Part] = [_taken_back(notice)] if notice.undone_at else list(_done(notice))
    if notice.words and not notice.undone_at:
        parts.append(Quote(notice.words))
    if member.is_active:
        link = f"{settings.SITE_ADDRESS}{reverse('account')}"
        parts.append(Action(_("See it on your account page"), link))
    parts.append(
        _("If anything is unclear, please answer this mail.")
        if notice.undone_at
        else _(
            "If you see it differently, please answer this mail. We would like Care Collective to be a good place for you and"
            " for everybody."
        )
    )
    return Letter(_("A note from the staff of Care Collective"), parts, name=member.name)


def compose_report_settled(member_id: UUID, report_id: str) -> Letter | None:
    """Tell who reported what came of it; None when the report is not settled."""
    member = User.objects.filter(pk=member_id).first()
    if member is None:
        return None
    with acting_as(member):
        settled = Report.objects.exclude(status=ReportOutcome.PENDING)
        report = settled.filter(pk=UUID(report_id), reporter=member).first()
    if report is None:
        return None
    thanks = {
        ReportAbout.MESSAGE: _("Thank you for telling us about a message on %(day)s."),
        ReportAbout.MEMBER: _("Thank you for telling us about somebody on %(day)s."),
    }[ReportAbout(report.about)] % {"day": date_format(report.created_at, "j F Y")}
    outcome = {
        ReportOutcome.ACTION_TAKEN: _("We have looked at it and dealt with it."),
        ReportOutcome.REVIEWED: _(
            "We have looked at it carefully. For now there is nothing that we need to do, and we keep your report."
        ),
        ReportOutcome.DISMISSED: _(
            "We have looked at it carefully, and found it within what neighbours may say to each other here."
        ),
    }[ReportOutcome(report.status)]
    parts: list[Part] = [
        f"{thanks} {outcome}",
        _(
            "You can block somebody who troubles you: open your conversation with them and choose “Block” below the messages."
            " Please report whatever else does not feel right."
        ),
        Action(_("Open your messages"), f"{settings.SITE_ADDRESS}{reverse('messages')}"),
        _("In an emergency, call your local emergency number."),
    ]
    return Letter(_("What came of your report at Care Collective"), parts, name=member.name)


def _done(notice: Notice) -> Iterator[str]:
    if notice.kind == ActKind.HIDE:
        yield _("We have hidden one of your messages. Whoever reads the conversation sees a short note in its place.")
        return
    yield _("Something that you wrote or did troubled somebody here.")
    if notice.kind == ActKind.WARN:
        yield _("Nothing is taken from you; we only ask you to take care.")
    elif notice.kind == ActKind.DEACTIVATE:
        yield _("We have closed your account at Care Collective. You cannot sign in for now.")
    else:
        yield _restricted(notice)
        yield _("After that day all is as it was.")


def _restricted(notice: Notice) -> str:
    match notice.restriction:
        case RestrictionKind.NO_OFFERS:
            sentence = _(
                "We have paused your offers of help until %(day)s. You can read everything, and answer in your conversations."
            )
        case RestrictionKind.NO_MESSAGES:
            sentence = _("We have paused your messages and your offers of help until %(day)s. You can read everything.")
        case _limited:
            sentence = ngettext(
                "Until %(day)s you can send %(limit)d message a day. You can read everything.",
                "Until %(day)s you can send %(limit)d messages a day. You can read everything.",
                notice.daily_limit or 0,
            )
    day = date_format(notice.until, "j F Y") if notice.until else ""
    return sentence % {"day": day, "limit": notice.daily_limit or 0}


def _taken_back(notice: Notice) -> str:
    match notice.kind:
        case ActKind.HIDE:
            return _("We have taken something back: your message is shown again. We are sorry for the trouble.")
        case ActKind.DEACTIVATE:
            return _("We have taken something back: your account is open again, and you can sign in as before.")
        case ActKind.RESTRICT:
            return _(
                "We have taken something back: the pause that we told you of is over. We are sorry for the trouble."
            )
        case _warned:
            return _("We have taken something back: our note to you no longer holds. We are sorry for the trouble.")
