from typing import Any

import factory
from factory.django import DjangoModelFactory

from carecollective.accounts.models import User, VerificationStatus
from carecollective.help_requests.models import HelpRequest


class UserFactory(DjangoModelFactory[User]):
    """An approved member; `set_password="…"` gives one that can sign in."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    name = factory.Sequence(lambda n: f"Member {n}")
    email = factory.Sequence(lambda n: f"member{n}@example.org")
    verification_status = VerificationStatus.APPROVED
    password = "!"

    @factory.post_generation
    def set_password(self: Any, create: bool, extracted: Any, **kwargs: Any) -> None:
        if extracted:
            self.set_password(extracted)
            self.save(update_fields=["password"])


class HelpRequestFactory(DjangoModelFactory[HelpRequest]):
    class Meta:
        model = HelpRequest

    user = factory.SubFactory(UserFactory)
    title = factory.Sequence(lambda n: f"Need a hand, number {n}")
    description = "Any day this week works."
    category = "other"
    urgency = "normal"
