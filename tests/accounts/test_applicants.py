"""The page on which staff decide about applicants: all that it shows, several at once, and two of staff at once."""

import pytest
from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.core import mail

from carecollective.accounts.applicants.selectors import list_applicants
from carecollective.accounts.applicants.services import AlreadyDecided, decide_application
from carecollective.accounts.models import User
from carecollective.accounts.services import approve_member
from carecollective.core.errors import NotPermitted
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import OutgoingMail

pytestmark = pytest.mark.django_db
PAGE = "/admin/applicants/"
LONG = "I have a car and time.\nI would like to help <others>." + " And more." * 30
WHY = "We serve Springfield only."


@pytest.fixture
def applicant(member):
    def make(name="Ada", **fields):
        return member(name=name, verification_status="pending", **fields)

    return make


@pytest.fixture
def ben(staff):
    """A member of staff without further permissions."""
    return staff(name="Ben", is_superuser=False)


def status_of(person):
    return User.objects.values_list("verification_status", flat=True).get(pk=person.pk)


def decide(client, what, *people, reason=""):
    return client.post(PAGE, {"chosen": [person.pk for person in people], "reason": reason, what: "yes"})


def test_the_page_shows_all_that_staff_decide_by(applicant, ben, signed_in):
    applicant(location="Nixa, MO", application_reason=LONG, email="ada@example.org")
    page = signed_in(ben).get(PAGE).content.decode()
    assert "Ada" in page
    assert "Nixa, MO" in page
    assert "help &lt;others&gt;." in page
    assert page.count("And more.") == 30
    assert "ada@example.org (not confirmed)" in page
    assert "asked just now" in page


def test_who_has_not_confirmed_comes_last_and_cannot_be_approved(applicant, ben, signed_in, settings):
    settings.SENDS_MAIL = True
    ada, zoe = applicant("Ada"), applicant("Zoë")
    EmailAddress.objects.update_or_create(user=zoe, email=zoe.email, defaults={"verified": True})
    EmailAddress.objects.filter(user=ada).update(verified=False)
    assert [(one.name, one.can_be_approved) for one in list_applicants(reader=ben)] == [("Zoë", True), ("Ada", False)]
    client = signed_in(ben)
    page = client.get(PAGE).content.decode()
    assert page.index("Zoë") < page.index("not confirmed yet") < page.index("Ada")
    answer = decide(client, "approve", ada, zoe)
    page = answer.content.decode()
    assert answer.status_code == 403
    assert "Approved: Zoë." in page
    assert "has not confirmed their e-mail address yet" in page
    assert f'id="chosen-{ada.pk}" checked' in page, "the one who is left stays ticked"
    assert (status_of(ada), status_of(zoe)) == ("pending", "approved")


def test_several_are_approved_at_once_and_each_is_told(applicant, ben, signed_in):
    people = [applicant("Ada"), applicant("Zoë"), applicant("Left alone")]
    client = signed_in(ben)
    answer = decide(client, "approve", *people[:2])
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    page = client.get(PAGE).content.decode()
    assert "Approved: Ada, Zoë. We write to each of them." in page
    assert [status_of(person) for person in people] == ["approved", "approved", "pending"]
    assert User.objects.get(pk=people[0].pk).approved_by == ben
    assert [(entry.user, entry.object_repr, entry.change_message) for entry in LogEntry.objects.order_by("pk")] == [
        (ben, "Ada", "Approved"),
        (ben, "Zoë", "Approved"),
    ]
    send_waiting()
    assert sorted(letter.to[0] for letter in mail.outbox) == sorted(person.email for person in people[:2])


def test_who_is_not_approved_reads_why_in_kind_words(applicant, ben, signed_in):
    ada = applicant()
    assert decide(signed_in(ben), "reject", ada, reason=WHY).status_code == 302
    assert status_of(ada) == "rejected"
    send_waiting()
    (letter,) = mail.outbox
    assert "Thank you for wanting to join." in letter.body
    assert f"> {WHY}" in letter.body


@pytest.mark.parametrize("reason", [" ", "x" * 501, "\x00"])
def test_a_reason_that_cannot_be_taken_decides_nothing_and_keeps_all(applicant, ben, signed_in, reason):
    ada, zoe = applicant("Ada"), applicant("Zoë")
    answer = decide(signed_in(ben), "reject", ada, reason=reason)
    page = answer.content.decode()
    assert answer.status_code == 400
    assert 'id="id_reason_error"' in page
    assert reason.replace("\x00", "") in page
    assert f'id="chosen-{ada.pk}" checked' in page
    assert f'id="chosen-{zoe.pk}" checked' not in page
    assert status_of(ada) == "pending"
    assert not LogEntry.objects.exists()
    assert not OutgoingMail.objects.exists()


@pytest.mark.parametrize("what", ["approve", "reject"])
def test_nobody_ticked_is_said_and_the_reason_stays(applicant, ben, signed_in, what):
    applicant()
    answer = decide(signed_in(ben), what, reason=WHY)
    assert answer.status_code == 400
    assert "Please tick at least one person." in answer.content.decode()
    assert WHY in answer.content.decode()


@pytest.mark.parametrize(("first", "said"), [("approve", "Ben approved them already."), ("reject", "not to approve")])
def test_the_second_of_staff_hears_what_the_first_did(applicant, ben, staff, signed_in, first, said):
    ada, amina = applicant(), staff(name="Amina")
    applicant("Zoë")
    decide(signed_in(ben), first, ada, reason=WHY)
    second = "reject" if first == "approve" else "approve"
    answer = decide(signed_in(amina), second, ada, reason="Another reason")
    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert "Ben" in answer.content.decode()
    assert "Another reason" in answer.content.decode()
    assert status_of(ada) == ("approved" if first == "approve" else "rejected")
    assert OutgoingMail.objects.count() == 1


@pytest.mark.parametrize("what", ["approve", "reject"])
def test_a_second_click_of_the_same_person_is_no_refusal(applicant, ben, signed_in, what):
    ada, client = applicant(), signed_in(ben)
    for _click in range(2):
        assert decide(client, what, ada, reason=WHY).status_code == 302
    assert LogEntry.objects.count() == OutgoingMail.objects.count() == 1


def test_an_approval_past_the_page_is_told_too(applicant, ben, staff):
    ada = applicant()
    approve_member(actor=ben, member_id=ada.pk)
    with pytest.raises(AlreadyDecided) as refusal:
        decide_application(actor=staff(), member_id=ada.pk, approves=False, reason=WHY)
    assert str(refusal.value.message) == "Ben approved them already."


def test_nobody_decides_about_staff_members_or_strangers(applicant, member, ben, signed_in):
    client, friend = signed_in(ben), member()
    for person in (applicant(is_staff=True), friend, User(name="Nobody")):
        assert decide(client, "reject", person, reason=WHY).status_code in (400, 403, 404)
    assert status_of(friend) == "approved"
    assert client.post(PAGE, {"chosen": "nonsense", "approve": "yes"}).status_code == 400
    with pytest.raises(NotPermitted):
        list_applicants(reader=friend)
    with pytest.raises(NotPermitted):
        decide_application(actor=friend, member_id=applicant().pk, approves=True)


def test_the_page_says_when_nobody_waits(ben, signed_in):
    assert "Nobody waits to join." in signed_in(ben).get(PAGE).content.decode()


def test_the_table_says_whose_decision_was_changed(applicant, ben, staff, signed_in):
    ada, cy = applicant("Ada"), staff(name="Cy", is_superuser=False)
    client = signed_in(ben)
    decide_application(actor=cy, member_id=ada.pk, approves=True)
    table = "/admin/accounts/user/"
    answer = client.post(table, {"action": "reject", "reason": WHY, "_selected_action": [ada.pk]}, follow=True)
    assert "Cy had decided otherwise about Ada." in answer.content.decode()
    assert status_of(ada) == "rejected"
    answer = client.post(table, {"action": "approve", "_selected_action": [ada.pk]}, follow=True)
    assert "decided otherwise" not in answer.content.decode(), "it was their own decision"
