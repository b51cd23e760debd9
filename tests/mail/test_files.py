"""Mail files are private, kept for thirty days, and deleted when their member is erased."""

import os
import time
from uuid import uuid4

import pytest
from django.core import mail

from carecollective.accounts.sign_in.passwords import send_password_link
from carecollective.mail import queue
from carecollective.mail.delivery import send_waiting
from carecollective.mail.file_backend import delete_files_about, prune_files
from carecollective.mail.letters import Letter
from carecollective.mail.models import OutgoingMail
from carecollective.mail.queue import queue_mail
from carecollective.privacy import erasure
from carecollective.privacy.models import Erasure
from tests.mail.conftest import KIND


@pytest.fixture
def folder(settings, tmp_path):
    settings.EMAIL_BACKEND = "carecollective.mail.file_backend.FileBackend"
    settings.EMAIL_FILE_PATH = tmp_path / "mail"
    return settings.EMAIL_FILE_PATH


def texts(folder):
    return [path.read_text() for path in sorted(folder.iterdir())]


def test_each_mail_is_a_private_file_of_its_own(queued, folder):
    queued("ada@example.org", "ben@example.org")
    assert send_waiting() == 2
    assert sorted(text.count("To: ada@example.org") for text in texts(folder)) == [0, 1]
    assert folder.stat().st_mode & 0o777 == 0o700
    names = " ".join(path.name for path in folder.iterdir())
    assert all(str(key) in names for key in OutgoingMail.objects.values_list("pk", flat=True))


def test_files_are_kept_for_thirty_days(queued, folder):
    queued("ada@example.org")
    send_waiting()
    (folder / "20260101-000000-1.log").write_text("To: old@example.org")
    (folder / "notes.txt").write_text("not ours")
    for days, left in ((29.9, 3), (30.1, 1)):
        for path in folder.iterdir():
            os.utime(path, (time.time() - days * 86_400,) * 2)
        assert prune_files() == 3 - left
        assert len(list(folder.iterdir())) == left
    assert (folder / "notes.txt").exists()


def test_a_folder_that_never_was_is_no_trouble(folder):
    assert (prune_files(), delete_files_about(address="ada@example.org", ids=[])) == (0, 0)


def test_an_address_is_found_whole_and_in_any_case(db, folder):
    for number, to in enumerate(("ann@example.org", "joann@example.org", "ann@example.org.uk")):
        mail.send_mail(f"Number {number}", f"For {to}", None, [to])
    mail.send_mail("To staff", "About ANN@EXAMPLE.ORG", None, ["staff@example.org"])
    assert delete_files_about(address="Ann@example.org", ids=[uuid4()]) == 2
    assert sorted(text.partition("To: ")[2].split("\n")[0] for text in texts(folder)) == [
        "ann@example.org.uk",
        "joann@example.org",
    ]


@pytest.mark.parametrize("by_staff", [True, False])
def test_an_erasure_deletes_the_files_to_and_about_the_member(queued, folder, member, staff, by_staff, rf):
    ada, ben = queued("ada@example.org", "ben@example.org")
    root = staff()
    for person in (ada, ben):
        send_password_link(actor=root, member_id=person.pk)
    assert send_waiting() == 4
    mail.send_mail("Please look", "ada@example.org wrote to us", None, ["staff@example.org"])
    if by_staff:
        erasure.erase_for_member(actor=root, member_id=ada.pk)
    else:
        ada.set_password("three green apples")
        ada.save()
        erasure.erase_self(request=rf.post("/"), actor=ada, password="three green apples")
    left = texts(folder)
    assert len(left) == 2
    assert all("To: ben@example.org" in text for text in left)
    assert str(ada.pk) not in "".join(left)


def test_what_was_on_its_way_at_the_erasure_is_swept_up(queued, folder, staff, beyond_policies):
    ada, _ben = queued("ada@example.org", "ben@example.org")
    erasure.erase_for_member(actor=staff(), member_id=ada.pk)
    # A mail that was being sent at that moment.
    folder.mkdir()
    (folder / f"20260101-000000-{OutgoingMail.objects.get(recipient=ada).pk}.eml").write_text("To: ada@example.org")
    queue_mail(KIND, ada.pk)
    assert send_waiting() == 1
    assert len(list(folder.iterdir())) == 2
    with beyond_policies() as cursor:
        cursor.execute("UPDATE privacy_erasure SET erased_at = erased_at - interval '3 min'")
    assert erasure.sweep() == 1
    (left,) = texts(folder)
    assert "To: ben@example.org" in left
    assert Erasure.objects.get().swept_at


def test_an_erasure_deletes_the_files_that_name_the_member(db, folder, member, staff):
    queue.register(
        KIND,
        title="A test",
        compose=lambda member_id: Letter("Hello", ["Ben wrote to you."], about=frozenset({ben.pk})),
    )
    ada, ben, chidi = member(), member(), member()
    queue_mail(KIND, ada.pk)
    assert send_waiting() == 1
    erasure.erase_for_member(actor=staff(), member_id=chidi.pk)
    assert len(texts(folder)) == 1
    erasure.erase_for_member(actor=staff(), member_id=ben.pk)
    assert texts(folder) == []
