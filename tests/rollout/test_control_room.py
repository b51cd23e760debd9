import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import Settings

from carecollective.accounts.models import User
from rollout.models import Change, Flag
from rollout.stages import DISABLED
from rollout.state import FLAG_NAME
from tests.rollout.conftest import MakeUser, Move

pytestmark = pytest.mark.django_db

PAGE = "/admin/rollout/"


@pytest.fixture(autouse=True)
def plain_static_files(settings: Settings) -> None:
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


@pytest.fixture
def browse(client: Client) -> Callable[[User], Client]:
    def signed_in(user: User) -> Client:
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return signed_in


def text(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def stage() -> str:
    return Flag.objects.get(name=FLAG_NAME).stage


def test_the_page_shows_the_stage_and_a_button_for_each_other_stage(
    browse: Callable[[User], Client], operator: User, move: Move
) -> None:
    move("percentage:10")
    html = browse(operator).get(PAGE).content.decode()
    assert html.count('aria-current="step"') == 1
    offered = re.findall(r'<button name="stage" value="([^"]+)"', html)
    assert offered == ["disabled", "internal", "percentage:50", "enabled", "percentage"]


def test_a_stage_between_the_five_has_a_step_of_its_own(
    browse: Callable[[User], Client], operator: User, move: Move
) -> None:
    move("percentage:33.3")
    page = text(browse(operator).get(PAGE))
    assert "Stage: 33.3%" in page
    assert page.index("10%") < page.index("33.3% Staff") < page.index("50%")


def test_a_button_moves_the_stage_and_comes_back_with_a_message(
    browse: Callable[[User], Client], operator: User
) -> None:
    response = browse(operator).post(PAGE, {"stage": "internal", "reason": "Ready"}, follow=True)
    assert response.redirect_chain == [(PAGE, 302)]
    assert "The rollout is now at internal." in text(response)
    change = Change.objects.latest("pk")
    assert (change.actor_id, change.source, change.reason) == (operator.pk, "admin", "Ready")


def test_a_typed_percentage_moves_there(browse: Callable[[User], Client], operator: User, move: Move) -> None:
    move("internal")
    browse(operator).post(PAGE, {"stage": "percentage", "percentage": " 2,5 % ", "reason": "A few"})
    assert stage() == "percentage:2.5"


@pytest.mark.parametrize("typed", ["", "0", "101", "abc", "1e1", "-1", "10.55"])
def test_a_percentage_that_is_none_is_refused_and_kept(
    typed: str, browse: Callable[[User], Client], operator: User, move: Move
) -> None:
    move("internal")
    response = browse(operator).post(PAGE, {"stage": "percentage", "percentage": typed, "reason": "A few <b>"})
    assert response.status_code == 400
    assert f'value="{typed}"' in response.content.decode()
    assert "A few &lt;b&gt;</textarea>" in response.content.decode()
    assert stage() == "internal"


@pytest.mark.parametrize("posted", [{}, {"stage": "nonsense"}, {"stage": ""}])
def test_a_post_without_a_stage_is_refused(
    posted: dict[str, str], browse: Callable[[User], Client], operator: User
) -> None:
    assert browse(operator).post(PAGE, posted | {"reason": "Because"}).status_code == 400
    assert stage() == "disabled"


def test_a_missing_reason_is_refused_next_to_its_field(browse: Callable[[User], Client], operator: User) -> None:
    response = browse(operator).post(PAGE, {"stage": "internal", "reason": " "})
    assert response.status_code == 400
    assert 'id="stage-reason-error"' in response.content.decode()
    assert stage() == "disabled"


def test_the_override_is_offered_only_once_a_skip_was_refused(browse: Callable[[User], Client], operator: User) -> None:
    client = browse(operator)
    assert 'name="override"' not in client.get(PAGE).content.decode()
    refused = client.post(PAGE, {"stage": "percentage:50", "reason": "Hurry"})
    assert refused.status_code == 409
    assert 'name="override"' in refused.content.decode()
    assert ">Hurry</textarea>" in refused.content.decode()
    assert stage() == "disabled"
    again = client.post(PAGE, {"stage": "percentage:50", "reason": "Hurry", "override": "on"}, follow=True)
    assert stage() == "percentage:50"
    assert "Override" in text(again)


def test_rolling_back_is_one_button(browse: Callable[[User], Client], operator: User, move: Move) -> None:
    move("enabled", v1_writes=False)
    browse(operator).post(PAGE, {"stage": "disabled", "reason": "Errors"})
    flag = Flag.objects.get(name=FLAG_NAME)
    assert (flag.stage, flag.v1_writes) == ("disabled", True)


def test_v1_writes_are_switched(browse: Callable[[User], Client], operator: User) -> None:
    client = browse(operator)
    response = client.post(PAGE, {"v1_writes": "off", "reason": "Freeze"}, follow=True)
    assert "V1 writes are off." in text(response)
    assert "V1 writes: off" in text(response)
    response = client.post(PAGE, {"v1_writes": "on", "reason": ""})
    assert 'id="v1-reason-error"' in response.content.decode()
    assert not Flag.objects.get(name=FLAG_NAME).v1_writes


def test_the_timeline_shows_who_and_why_and_what_came_from_outside(
    browse: Callable[[User], Client], operator: User, move: Move
) -> None:
    client = browse(operator)
    client.post(PAGE, {"stage": "internal", "reason": "<script>alert(1)</script>"})
    move("enabled")
    response = client.get(PAGE)
    assert "Outside the application" in text(response)
    assert operator.name in text(response)
    assert "&lt;script&gt;" in response.content.decode()
    assert "<script>alert" not in response.content.decode()


def test_the_page_says_why_a_member_is_in_v1(
    browse: Callable[[User], Client], operator: User, make_user: MakeUser, move: Move
) -> None:
    member = make_user()
    move("internal")
    client = browse(operator)
    page = text(client.get(PAGE, {"email": str(member.email).upper()}))
    assert f"{member.name} : new conversations in V1." in page
    assert "open to staff and internal testers only" in page
    assert "No member has this e-mail address." in text(client.get(PAGE, {"email": "nobody@example.org"}))


def test_the_page_says_that_the_environment_overrides(
    browse: Callable[[User], Client], operator: User, settings: Settings
) -> None:
    client = browse(operator)
    assert "MESSAGING_V2_ROLLOUT" not in text(client.get(PAGE))
    settings.MESSAGING_V2_ROLLOUT = DISABLED
    assert "overrides everything here" in text(client.get(PAGE))
    client.post(PAGE, {"stage": "internal", "reason": "For later"})
    assert stage() == "internal"


def test_staff_without_rollout_view_see_nothing_and_move_nothing(
    browse: Callable[[User], Client], make_user: MakeUser
) -> None:
    client = browse(make_user(is_staff=True))
    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, {"stage": "internal", "reason": "Please"}).status_code == 403
    assert client.get("/admin/rollout/change/").status_code == 403
    assert stage() == "disabled"


def test_members_who_are_not_staff_are_sent_to_sign_in(browse: Callable[[User], Client], make_user: MakeUser) -> None:
    client = browse(make_user(groups=("Rollout operators",)))
    assert client.get(PAGE).status_code == 302
    assert client.post(PAGE, {"stage": "internal", "reason": "Please"}).status_code == 302
    assert stage() == "disabled"


def grant(user: User, *codenames: str) -> User:
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="rollout", codename__in=codenames))
    return User.objects.get(pk=user.pk)


def test_who_may_only_look_finds_no_buttons_and_cannot_post(
    browse: Callable[[User], Client], make_user: MakeUser, move: Move
) -> None:
    move("internal")
    client = browse(grant(make_user(is_staff=True), "view"))
    assert 'name="reason"' not in client.get(PAGE).content.decode()
    for posted in ({"stage": "percentage:10"}, {"stage": "disabled"}, {"v1_writes": "off"}):
        assert client.post(PAGE, posted | {"reason": "Please"}).status_code == 403
    assert stage() == "internal"


def test_who_may_roll_back_goes_down_and_not_up(
    browse: Callable[[User], Client], make_user: MakeUser, move: Move
) -> None:
    move("percentage:10")
    client = browse(grant(make_user(is_staff=True), "view", "rollback"))
    assert client.post(PAGE, {"stage": "percentage:50", "reason": "Upwards"}).status_code == 403
    assert client.post(PAGE, {"stage": "internal", "reason": "Down"}).status_code == 302
    assert client.post(PAGE, {"stage": "disabled", "reason": "Back"}).status_code == 302
    assert stage() == "disabled"


def test_who_may_propose_goes_up_and_not_down(
    browse: Callable[[User], Client], make_user: MakeUser, move: Move
) -> None:
    client = browse(grant(make_user(is_staff=True), "view", "propose"))
    assert client.post(PAGE, {"stage": "internal", "reason": "Upwards"}).status_code == 302
    assert client.post(PAGE, {"stage": "disabled", "reason": "Back"}).status_code == 403
    assert stage() == "internal"


def test_a_post_without_the_csrf_token_is_refused(operator: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(PAGE, {"stage": "internal", "reason": "Forged"}).status_code == 403
    assert stage() == "disabled"


def test_the_flags_raw_row_cannot_be_edited_and_the_record_only_read(
    browse: Callable[[User], Client], make_user: MakeUser
) -> None:
    client = browse(make_user(is_staff=True, is_superuser=True))
    change = Change.objects.latest("pk")
    assert client.get("/admin/rollout/flag/").status_code == 404
    assert client.get("/admin/waffle/flag/").status_code == 404
    assert client.get("/admin/rollout/change/").status_code == 200
    assert client.get(f"/admin/rollout/change/{change.pk}/change/").status_code == 200
    assert client.post(f"/admin/rollout/change/{change.pk}/change/", {"reason": "x"}).status_code == 403
    assert client.post(f"/admin/rollout/change/{change.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/rollout/change/add/").status_code == 403


def test_the_admins_first_page_leads_to_the_control_room(browse: Callable[[User], Client], operator: User) -> None:
    assert f'href="{PAGE}"' in browse(operator).get("/admin/").content.decode()


def test_the_page_has_no_code_or_style_in_it(browse: Callable[[User], Client], operator: User) -> None:
    html = browse(operator).get(PAGE).content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style|\sstyle=|\son\w+=", html)
