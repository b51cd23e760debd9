"""The rules for a member's name, the same wherever one is typed."""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.names.skeleton import look_keys, remove_ignorable
from carecollective.core.errors import ValidationRefused
from carecollective.core.text import SITE_NAME, one_line, read_text

NAME_MAX = 100
# What the site writes where a name would stand, and how it marks its staff. Its own name is refused as part of a name too.
SITES_OWN = ("Former member", "A former member", "The guard", "Staff", "Administrator", "Moderator")
# Direction marks and other invisible characters, which a name is kept without. Two of them join letters, and stay.
_UNWANTED = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
MARKS_IN_A_ROW_MAX = 4
LIKE_STAFF = _("Please add your surname or another word, so that neighbours can tell you apart from our staff.")


def read_name(
    value: Any, *, refused: dict[str, list[Any]], of: User | None = None, may_be_of_staff: bool = False
) -> str:
    """Return a name as one line without invisible characters. A name that cannot be taken is noted in `refused`.

    The name that `of` has already is returned as it is: it may be from before there were rules.
    """
    if of is not None and isinstance(value, str) and one_line(value) == one_line(of.name):
        return of.name
    name = read_text(value or "", field="name", longest=NAME_MAX, refused=refused, as_one_line=True)
    if "name" not in refused:
        name = one_line(_UNWANTED.sub("", name))
        problem = _find_problem(name)
        if problem is None and not may_be_of_staff and is_taken_by_staff(name, by=of):
            problem = LIKE_STAFF
        if problem is not None:
            refused["name"] = [problem]
    return name


def clean_name_by_staff(value: Any, *, of: User) -> str:
    """Return a name that staff give a member; whether staff have it too is another question. Raises ValidationRefused."""
    refused: dict[str, list[Any]] = {}
    name = read_name(value, refused=refused, of=of, may_be_of_staff=True)
    if refused:
        raise ValidationRefused(refused)
    return name


def is_taken_by_staff(name: str, *, by: User | None) -> bool:
    """Tell whether the name looks like that of another member of staff."""
    staff = User.objects.filter(is_staff=True)
    others = staff if by is None else staff.exclude(pk=by.pk)
    return bool(look_keys(name) & _keys_of(others.values_list("name", flat=True)))


def _find_problem(name: str) -> Any:
    if not any(unicodedata.category(character)[0] == "L" for character in remove_ignorable(name)):
        return _("Please tell us your name.")
    if _has_piled_marks(name):
        return _("This name has more accents on one letter than can be shown. Please type it again.")
    if look_keys(name) & _sites_own_keys() or _has_site_name(name):
        return _("This could be taken for the site itself. Please give the name that your neighbours know you by.")
    return None


def _has_piled_marks(name: str) -> bool:
    marks = 0
    for character in unicodedata.normalize("NFD", name):
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks > MARKS_IN_A_ROW_MAX:
            return True
    return False


def _has_site_name(name: str) -> bool:
    """Tell whether the site's name is part of the name, as in "Care Collective Support"."""
    return any(part in key for key in look_keys(name) for part in look_keys(SITE_NAME))


@cache
def _sites_own_keys() -> frozenset[str]:
    return _keys_of(SITES_OWN)


def _keys_of(names: Iterable[str]) -> frozenset[str]:
    return frozenset[str]().union(*(look_keys(name) for name in names))
