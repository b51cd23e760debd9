"""The member's page in the admin, as a browser fills it in."""

import re
from typing import Any

from django.test import Client

from carecollective.accounts.models import User

MEMBERS = "/admin/accounts/user/"


def change_member(client: Client, member: User, *, seen: str | None = None, **fields: Any) -> Any:
    """Open the page, change nothing but what `fields` says, and save; `seen` is from a page opened before."""
    form = {"name": member.name, "location": "", "is_active": "on"} | fields
    given = {name: value for name, value in form.items() if value is not None}
    return client.post(f"{MEMBERS}{member.pk}/change/", given | {"seen": seen or seen_on(client, member)})


def seen_on(client: Client, member: User) -> str:
    found = re.search(r'name="seen" value="(\w+)"', client.get(f"{MEMBERS}{member.pk}/change/").content.decode())
    return found[1] if found else ""
