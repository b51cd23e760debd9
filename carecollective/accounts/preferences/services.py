"""Read and change a member's preferences, by the member or by a link from one of our mails."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import MailPace, MessagingPreferences, User
from carecollective.accounts.preferences.quiet_hours import is_quiet, known_zones
from carecollective.core.database import ClockTimestamp
from carecollective.core.errors import InvalidInput, ValidationRefused
from carecollective.mail.topics import Topic, read_preferences_link

# The column that says whether a member wants mail about a topic.
COLUMNS: Mapping[Topic, str] = {
    Topic.MESSAGES: "email_notifications",
    Topic.REQUESTS: "mail_about_requests",
    Topic.APPLICANTS: "mail_about_applicants",
    Topic.REPORTS: "mail_about_reports",
}


class PreferencesLinkUnknown(InvalidInput):
    message = _(
        "This link is not complete, or its member has left. Please open it again from the mail, or sign in and choose on "
        "your account page what we write to you about."
    )


def read_preferences(member_id: UUID) -> MessagingPreferences:
    """Return a member's preferences; the defaults where none are stored."""
    return MessagingPreferences.objects.filter(user=member_id).first() or MessagingPreferences(user_id=member_id)


def wants_mail(preferences: MessagingPreferences, topic: Topic) -> bool:
    """Tell whether the member wants mail about a topic."""
    return bool(getattr(preferences, COLUMNS[topic]))


def is_quiet_now(preferences: MessagingPreferences, now: datetime) -> bool:
    """Tell whether the member must not be disturbed now."""
    return is_quiet(
        now, zone=preferences.time_zone, start=preferences.quiet_hours_start, end=preferences.quiet_hours_end
    )


def update_preferences(
    *,
    actor: User,
    email_notifications: bool,
    quiet_hours_start: time | None,
    quiet_hours_end: time | None,
    mail_pace: str = MailPace.SOON,
    shows_words: bool = False,
    mail_about_requests: bool = True,
    mail_about_applicants: bool = True,
    mail_about_reports: bool = True,
    time_zone: str = "",
) -> None:
    """Change what the member hears of. Raises ValidationRefused for one end of the quiet hours or an unknown time zone."""
    refused: dict[str, list[Any]] = {}
    if (quiet_hours_start is None) != (quiet_hours_end is None):
        refused["quiet_hours_end"] = [_("Please give both ends of the quiet hours, or neither.")]
    if time_zone and time_zone not in known_zones():
        refused["time_zone"] = [_("Please choose one of the places.")]
    if mail_pace not in MailPace.values:
        refused["mail_pace"] = [_("Please choose one of these.")]
    if refused:
        raise ValidationRefused(refused)
    _store(
        actor.pk,
        email_notifications=email_notifications,
        quiet_hours_start=quiet_hours_start,
        quiet_hours_end=quiet_hours_end,
        mail_pace=mail_pace,
        shows_words=shows_words,
        mail_about_requests=mail_about_requests,
        mail_about_applicants=mail_about_applicants,
        mail_about_reports=mail_about_reports,
        time_zone=time_zone,
    )


def note_time_zone(*, actor: User, time_zone: str) -> None:
    """Store the time zone of the member's browser, unless one is stored. An unknown one is ignored."""
    if time_zone in known_zones() and not read_preferences(actor.pk).time_zone:
        _store(actor.pk, time_zone=time_zone)


def read_link(token: str) -> tuple[MessagingPreferences, Topic]:
    """Return the preferences that a link from a mail opens, and the topic of the mail. Raises PreferencesLinkUnknown."""
    found = read_preferences_link(token)
    if found is None or not User.objects.filter(pk=found[0], is_active=True).exists():
        raise PreferencesLinkUnknown
    return read_preferences(found[0]), found[1]


def topics_of_link(topic: Topic) -> list[Topic]:
    """Return the topics that a link may change: those of every member, and for staff's mail those of staff."""
    return [each for each in Topic if topic.is_for_staff or not each.is_for_staff]


def stop_topic(*, token: str) -> None:
    """Stop the mail that the link came from, as RFC 8058's one click does. Raises PreferencesLinkUnknown."""
    preferences, topic = read_link(token)
    _store(preferences.user_id, **{COLUMNS[topic]: False})


def choose_by_link(*, token: str, wanted: Mapping[Topic, bool], mail_pace: str) -> None:
    """Choose the topics by a link from a mail. It shows nobody's words, so whoever has a copy of the mail learns nothing.

    Raises PreferencesLinkUnknown.
    """
    preferences, topic = read_link(token)
    changes: dict[str, Any] = {COLUMNS[each]: wanted.get(each, False) for each in topics_of_link(topic)}
    if mail_pace in MailPace.values:
        changes["mail_pace"] = mail_pace
    _store(preferences.user_id, **changes)


def clear_preferences(member_id: UUID) -> None:
    """Forget where a member lives by the clock, and write to them no more. For the erasure."""
    off: dict[str, Any] = dict.fromkeys(COLUMNS.values(), False)
    MessagingPreferences.objects.filter(user=member_id).update(
        **off, time_zone="", shows_words=False, mail_pace=MailPace.SOON
    )


def _store(member_id: UUID, **changes: Any) -> None:
    MessagingPreferences.objects.update_or_create(
        user_id=member_id, defaults={**changes, "updated_at": ClockTimestamp()}
    )
