import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import RequestFactory

from carecollective import settings as shipped
from carecollective.core import rate_limits
from carecollective.core.errors import RateLimitExceeded
from carecollective.core.models import RateLimitHit
from carecollective.core.rate_limits import Limit, count_use
from carecollective.web.api import status_of

THREE_AN_HOUR = Limit("try", 3, timedelta(hours=1))


@contextmanager
def refused() -> Iterator[Any]:
    with pytest.raises(RateLimitExceeded) as refusal:
        yield refusal


def use(member, times=1, limit=THREE_AN_HOUR):
    for _time in range(times):
        count_use(member=member, limit=limit)


def let_pass(beyond_policies, member, seconds):
    with beyond_policies() as cursor:
        cursor.execute(
            "UPDATE core_ratelimithit SET at = at - make_interval(secs => %s) WHERE member_id = %s",
            [seconds, member.pk],
        )


def test_the_use_after_the_last_is_refused_and_not_counted(db, member):
    ada = member()
    use(ada, 3)
    with refused() as refusal:
        use(ada)
    assert (refusal.value.code, status_of(refusal.value)) == ("rate_limit_exceeded", 429)
    assert 3590 <= refusal.value.retry_after <= 3600
    assert RateLimitHit.objects.filter(member=ada).count() == 3


def test_retry_after_tells_when_the_oldest_use_runs_out(db, member, beyond_policies):
    ada = member()
    use(ada)
    let_pass(beyond_policies, ada, 3000)
    use(ada, 2)
    with refused() as refusal:
        use(ada)
    assert 590 <= refusal.value.retry_after <= 600
    let_pass(beyond_policies, ada, refusal.value.retry_after)
    use(ada)
    with pytest.raises(RateLimitExceeded):
        use(ada)


def test_retry_after_is_never_zero(db, member, beyond_policies):
    ada = member()
    use(ada, 3)
    let_pass(beyond_policies, ada, 3599.9)
    with refused() as refusal:
        use(ada)
    assert refusal.value.retry_after == 1


def test_members_and_actions_do_not_share_a_count(db, member):
    ada, ben = member(), member()
    use(ada, 3)
    use(ben, 3)
    use(ada, 3, Limit("another", 3, timedelta(hours=1)))


def test_a_use_that_is_rolled_back_was_none(db, member):
    ada = member()
    for _time in range(5):
        with pytest.raises(LookupError), transaction.atomic():
            use(ada)
            raise LookupError
    use(ada, 3)


def test_the_limits_are_the_contracts(settings):
    """The tests' own settings are generous: what the site begins with is read where nobody has set anything."""
    for name in (
        "CONVERSATIONS_PER_HOUR",
        "MESSAGES_PER_MINUTE",
        "FAILED_SIGN_INS_PER_10_MINUTES",
        "SIGN_UPS_PER_HOUR",
    ):
        assert not os.environ[name]
        setattr(settings, name, getattr(shipped, name))
    assert rate_limits.new_conversations() == Limit("start_conversation", 10, timedelta(hours=1))
    assert rate_limits.messages() == Limit("send_message", 50, timedelta(minutes=1))
    assert rate_limits.failed_sign_ins() == Limit("sign_in", 50, timedelta(minutes=10))
    assert rate_limits.sign_ups() == Limit("sign_up", 60, timedelta(hours=1))


def test_a_lowered_limit_counts_what_was_used_before(db, member):
    ada = member()
    use(ada, 3)
    with refused() as refusal:
        use(ada, 1, Limit("try", 1, timedelta(hours=1)))
    assert refusal.value.retry_after > 3590


def test_uses_that_no_window_reaches_are_pruned(db, member, beyond_policies):
    ada, ben = member(), member()
    use(ada, 3)
    use(ben, 2)
    let_pass(beyond_policies, ada, 3601)
    rate_limits.count_client_use(request=RequestFactory().get("/"), limit=THREE_AN_HOUR)
    assert rate_limits.prune_hits() == 3
    assert RateLimitHit.objects.count() == 2
    with beyond_policies() as cursor:
        cursor.execute("UPDATE core_clientratelimithit SET at = at - interval '61 minutes'")
    assert rate_limits.prune_hits() == 1
