"""Exports and erasures that staff do for a member, and the retention periods."""

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.core import mail
from django.db import connection

from carecollective.accounts.models import User
from carecollective.core import retention
from carecollective.mail.delivery import send_waiting
from carecollective.privacy.exports import prepare_waiting
from carecollective.privacy.models import Erasure, Export
from carecollective.privacy.retention import prune_failed_sign_ins
from carecollective.serving.worker import Worker
from tests.privacy.stored import stored

pytestmark = pytest.mark.django_db
MEMBERS = "/admin/accounts/user/"


def act(client, action, *members, **more):
    return client.post(MEMBERS, {"action": action, "_selected_action": [member.pk for member in members], **more})


def test_staff_put_a_members_data_together_and_it_is_recorded(member, staff, signed_in):
    ada, helper = member(name="Ada", email="ada@example.org"), staff(is_superuser=False)
    client = signed_in(helper)
    assert act(client, "export_data", ada).status_code == 302
    (export,) = stored(Export)
    assert (export.member_id, export.requested_by_id) == (ada.pk, helper.pk)
    assert LogEntry.objects.get().user_id == helper.pk
    prepare_waiting()
    assert send_waiting() == 1
    assert mail.outbox[0].to == ["ada@example.org"]
    assert client.get(f"/account/export/{export.pk}").status_code == 404


def test_staff_erase_one_member_once_they_have_typed_who(member, staff, signed_in):
    ada, ben = member(name="Ada", email="ada@example.org"), member()
    client = signed_in(staff(is_superuser=False))
    act(client, "erase", ada, ben)
    assert not Erasure.objects.exists()
    page = act(client, "erase", ada)
    assert "type <strong>ada@example.org</strong>" in page.content.decode()
    assert "Nothing was erased" in act(client, "erase", ada, confirmed="ada@example").content.decode()
    assert not Erasure.objects.exists()
    assert act(client, "erase", ada, confirmed="ada@example.org").status_code == 302
    assert User.objects.get(pk=ada.pk).name == "Former member"
    assert User.objects.get(pk=ben.pk).is_active
    entry = LogEntry.objects.get()
    assert (entry.object_repr, entry.change_message) == ("Former member", "Erased, at their wish")


def test_staff_cannot_erase_a_colleague(member, staff, signed_in):
    colleague = staff(email="colleague@example.org")
    act(signed_in(staff(is_superuser=False)), "erase", colleague, confirmed="colleague@example.org")
    assert User.objects.get(pk=colleague.pk).is_active


def test_members_have_no_such_actions(member, signed_in):
    ada = member()
    for action in ("export_data", "erase"):
        assert act(signed_in(member()), action, ada, confirmed=ada.email).status_code == 302
    assert not stored(Export)
    assert not Erasure.objects.exists()


def test_every_retention_period_is_shown_and_enforced():
    rows = retention.read()
    assert [(row.name, row.kept) for row in rows] == [
        ("Events of the rollout", "30 days"),
        ("Copies of members' data", "7 days"),
        ("Backups", "the newest 7"),
        ("Sessions", "30 days"),
        ("Tokens", "30 days"),
        ("Failed sign-ins", "1 day"),
        ("Record of mail to members", "30 days"),
        ("Messages to staff", "180 days"),
        ("Mail in files, without a mail server", "30 days"),
    ]
    assert {row.enforced_by for row in rows} == {"the worker, every 60 minutes"}


def test_every_task_of_the_worker_exists_and_runs():
    for thread in Worker(settings.WORKER_TASKS).threads:
        assert thread.task() >= 0


def test_what_nobody_enforces_says_so(settings):
    settings.WORKER_TASKS = ()
    assert all(row.enforced_by.startswith("nobody") for row in retention.read())


def test_failed_sign_ins_are_forgotten_after_a_day(visitor_attempt):
    for age, left in (("23 hours", 1), ("25 hours", 0)):
        visitor_attempt(age)
        prune_failed_sign_ins()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM axes_accessattempt")
            assert cursor.fetchone()[0] == left


@pytest.fixture
def visitor_attempt():
    def make(age):
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM axes_accessattempt")
            cursor.execute(
                "INSERT INTO axes_accessattempt (username, ip_address, user_agent, http_accept, path_info, attempt_time,"
                " get_data, post_data, failures_since_start)"
                " VALUES ('x@example.org', '::1', '', '', '', now() - %s::interval, '', '', 1)",
                [age],
            )

    return make
