"""What staff may change of a member in the admin, and what the log says of it."""

import pytest
from django.contrib.auth.models import Group

from carecollective.accounts.models import User
from tests.accounts.forms import MEMBERS, change_member, seen_on

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]


@pytest.fixture
def root(staff):
    return staff(name="Root")


def test_a_page_from_before_changes_nothing_back(root, operators, signed_in):
    ben, first, second = operators(name="Ben"), signed_in(root), signed_in(root)
    seen = seen_on(first, ben)
    assert change_member(second, ben, is_staff=None, groups=[]).status_code == 302
    answer = change_member(
        first, ben, seen=seen, location="Bern", is_staff="on", groups=[Group.objects.values_list("pk", flat=True)[0]]
    )
    assert "Somebody has changed this member since you opened the page" in answer.content.decode()
    ben = User.objects.get(pk=ben.pk)
    assert (ben.is_staff, ben.location, ben.groups.count()) == (False, None, 0)


def test_without_what_was_seen_nothing_is_changed(root, member, signed_in):
    ada = member(name="Ada")
    answer = signed_in(root).post(f"{MEMBERS}{ada.pk}/change/", {"name": "Renamed", "location": ""})
    assert answer.status_code == 200
    ada.refresh_from_db()
    assert (ada.name, ada.is_active) == ("Ada", True)


def test_a_name_is_one_line_from_every_form(root, member, signed_in):
    ada = member(name="Ada")
    assert change_member(signed_in(root), ada, name="Ben: disabled to enabled\n2026-01-01, Carla").status_code == 302
    ada.refresh_from_db()
    assert ada.name == "Ben: disabled to enabled 2026-01-01, Carla"
    for refused in ("Zoe\u202e", " \t "):
        assert change_member(signed_in(root), ada, name=refused).status_code == 200
    assert User.objects.get(pk=ada.pk).name == ada.name


def test_no_two_of_staff_go_by_one_name(root, staff, member, signed_in):
    ben, _carla, friend = staff(name="Ben"), staff(name="Carla"), member(name="carla")
    client = signed_in(root)
    answer = change_member(client, ben, name="carla", is_staff="on")
    assert "Another member of staff has this name" in answer.content.decode()
    assert change_member(client, friend, is_staff="on").status_code == 200
    assert change_member(client, friend, location="Bern").status_code == 302
    assert (User.objects.get(pk=ben.pk).name, User.objects.get(pk=friend.pk).is_staff) == ("Ben", False)


def test_staff_decide_about_members_but_not_about_themselves(root, staff, member, signed_in):
    helper = staff(name="Helper", is_superuser=False, verification_status="pending")
    waiting = member(name="Waiting", verification_status="pending")
    gone = member(name="Gone", verification_status="rejected", is_active=False)
    client = signed_in(helper)
    form = {"_selected_action": [str(one.pk) for one in (root, helper, waiting, gone)]}
    client.post(MEMBERS, form | {"action": "reject", "reason": "Envy"}, follow=True)
    page = client.post(MEMBERS, form | {"action": "approve"}, follow=True).content.decode()
    assert "1 member: Approved." in page
    assert page.count("You are not allowed to do that.") == 2
    assert "Gone: This member may not sign in." in page
    found = {one.name: one.verification_status for one in User.objects.all()}
    assert found == {"Root": "approved", "Helper": "pending", "Waiting": "approved", "Gone": "rejected"}
    assert signed_in(root).post(MEMBERS, {"_selected_action": [str(root.pk)], "action": "reject"}).status_code == 302
    assert User.objects.get(pk=root.pk).is_approved


def test_who_was_approved_stays_so_by_whom_it_was_decided(root, staff, member, signed_in):
    ada, other = member(name="Ada", verification_status="pending"), staff(name="Other")
    for client in (signed_in(root), signed_in(other)):
        client.post(MEMBERS, {"_selected_action": [str(ada.pk)], "action": "approve"})
    ada.refresh_from_db()
    assert ada.approved_by == root
