"""waffle asks our flag; our flag asks nothing of waffle."""

from collections.abc import Callable
from decimal import Decimal

import pytest
import waffle
from django.contrib.auth.models import AnonymousUser, Group
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django import DjangoAssertNumQueries, Settings
from waffle.decorators import waffle_flag
from waffle.middleware import WaffleMiddleware
from waffle.testutils import override_flag

from carecollective.accounts.models import User
from rollout.models import Flag
from rollout.stages import DISABLED
from rollout.targeting import snapshot
from rollout.targeting.cohort import decision_for
from rollout.targeting.state import FLAG_NAME
from rollout.versions import MessagingVersion
from tests.roles import as_role
from tests.rollout.conftest import MakeUser, Move

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    # waffle's cache outlives a test's rollback.
    cache.clear()


def ask(user: User | AnonymousUser) -> HttpRequest:
    """A request that tries everything that would turn a waffle flag on."""
    request = RequestFactory().get(
        "/", {FLAG_NAME: "1", f"dwft_{FLAG_NAME}": "1"}, headers={f"dwft-{FLAG_NAME.replace('_', '-')}": "1"}
    )
    request.COOKIES = {f"dwf_{FLAG_NAME}": "True", f"dwft_{FLAG_NAME}": "True"}
    request.user = user
    return request


def entry_points(user: User) -> dict[str, bool]:
    """Everywhere that code or a library may ask."""

    @waffle_flag(FLAG_NAME, redirect_to="admin:index")
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("in")

    stored = Flag.objects.get(name=FLAG_NAME)
    return {
        "flag_is_active": bool(waffle.flag_is_active(ask(user), FLAG_NAME)),
        "flag_is_active, reading only": bool(waffle.flag_is_active(ask(user), FLAG_NAME, read_only=True)),
        "is_active": stored.is_active(ask(user)),
        "is_active_for_user": stored.is_active_for_user(user),
        "by name": Flag.get(FLAG_NAME).is_active(ask(user)),
        "decorator": view(ask(user)).content == b"in",
        "decision_for": decision_for(user).version is MessagingVersion.V2,
    }


@pytest.fixture
def everything_on(flag: Flag, settings: Settings) -> Callable[[User], None]:
    """Set every column and list of waffle's so that its own code would say yes."""

    def turn_on(user: User) -> None:
        settings.WAFFLE_OVERRIDE = True
        with as_role("owner"):
            Flag.objects.filter(pk=flag.pk).update(
                everyone=True, percent=Decimal("99.9"), testing=True, superusers=True, staff=True, authenticated=True,
                languages="en", rollout=True,
            )  # fmt: skip

    return turn_on


def test_disabled_beats_everything_that_waffle_would_believe(
    make_user: MakeUser, everything_on: Callable[[User], None], move: Move
) -> None:
    user = make_user(is_staff=True, is_superuser=True, groups=("Internal testers", "Rollout operators"))
    everything_on(user)
    move("disabled")
    assert not any(entry_points(user).values())


def test_disabled_in_the_environment_beats_everything_too(
    make_user: MakeUser, everything_on: Callable[[User], None], move: Move, settings: Settings
) -> None:
    user = make_user(is_staff=True, is_superuser=True, groups=("Internal testers",))
    everything_on(user)
    move("enabled")
    assert all(entry_points(user).values())
    settings.MESSAGING_V2_ROLLOUT = DISABLED
    assert not any(entry_points(user).values())


def test_disabled_beats_a_listed_member_and_a_listed_group(
    make_user: MakeUser, flag: Flag, list_on_flag: Callable[[Flag, User, Group], None], move: Move
) -> None:
    user = make_user(groups=("Internal testers",))
    list_on_flag(flag, user, Group.objects.get(name="Internal testers"))
    move("disabled")
    assert not any(entry_points(user).values())


def test_waffles_test_override_is_refused(make_user: MakeUser, move: Move) -> None:
    user = make_user(is_staff=True)
    move("disabled")
    with pytest.raises(TypeError, match="waffle's settings"), override_flag(FLAG_NAME, active=True):
        pass
    assert not any(entry_points(user).values())


def test_all_entry_points_give_the_one_answer_at_every_stage(
    make_user: MakeUser, tester: User, operator: User, move: Move
) -> None:
    members = [make_user(), make_user(is_superuser=True), tester, operator]
    for stage in ("disabled", "internal", "percentage:0.1", "percentage:50", "percentage:100", "enabled"):
        move(stage)
        for member in members:
            assert len(set(entry_points(member).values())) == 1, (stage, member)


def test_a_superuser_who_is_not_staff_is_a_member_like_others(make_user: MakeUser, move: Move) -> None:
    move("internal")
    assert not any(entry_points(make_user(is_superuser=True)).values())
    assert all(entry_points(make_user(is_staff=True)).values())


def test_no_waffle_cookie_is_set_at_any_stage(
    make_user: MakeUser, everything_on: Callable[[User], None], move: Move
) -> None:
    user = make_user()
    everything_on(user)
    for stage in ("disabled", "internal", "percentage:50", "enabled"):
        move(stage)
        request = ask(user)
        waffle.flag_is_active(request, FLAG_NAME)
        response = WaffleMiddleware(lambda _: HttpResponse()).process_response(request, HttpResponse())
        assert not response.cookies
        assert not hasattr(request, "waffles")
        assert not hasattr(request, "waffle_tests")


def test_a_hundred_questions_get_one_answer(make_user: MakeUser, move: Move) -> None:
    move("percentage:50")
    for user in [make_user() for _ in range(10)]:
        assert len({waffle.flag_is_active(ask(user), FLAG_NAME) for _ in range(100)}) == 1


def test_nobody_signed_out_is_in(move: Move) -> None:
    move("enabled")
    assert waffle.flag_is_active(ask(AnonymousUser()), FLAG_NAME) is False
    assert waffle.flag_is_active(RequestFactory().get("/"), FLAG_NAME) is False


def test_a_flag_of_another_name_is_off_and_not_created(make_user: MakeUser, move: Move) -> None:
    move("enabled")
    assert waffle.flag_is_active(ask(make_user(is_staff=True)), "another") is False
    assert Flag.objects.count() == 1


def test_a_flip_is_seen_at_the_next_question_despite_waffles_cache(make_user: MakeUser, move: Move) -> None:
    user = make_user()
    for _ in range(3):
        move("enabled")
        assert all(entry_points(user).values())
        move("disabled")
        assert not any(entry_points(user).values())


def test_a_decision_costs_no_query_beside_the_state(
    make_user: MakeUser, move: Move, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    user = make_user()
    for stage in ("disabled", "enabled", "internal", "percentage:50"):
        move(stage)
        with django_assert_num_queries(1):
            state = snapshot.read_now()
        with django_assert_num_queries(0):
            decision_for(user, state)
