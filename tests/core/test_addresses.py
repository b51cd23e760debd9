"""`{% url %}` gives what Django's gives, and raises where that raises."""

from uuid import UUID, uuid4

import pytest
from django.template import Context, Template
from django.urls import NoReverseMatch, get_resolver, reverse

from carecollective.core.addresses import address, address_with_id
from carecollective.core.templatetags.addresses import AddressWithId, FixedAddress


def render(source: str, **given: object) -> str:
    return Template(source).render(Context(given))


def names() -> list[str]:
    return [name for name in get_resolver().reverse_dict if isinstance(name, str)]


def is_refused(name: str, *args: UUID) -> bool:
    try:
        reverse(name, args=args)
    except NoReverseMatch:
        return True
    return False


def test_each_address_is_the_one_that_django_gives():
    key = uuid4()
    alone = [name for name in names() if not is_refused(name)]
    with_id = [name for name in names() if not is_refused(name, key)]
    assert "messages" in alone
    assert "thread" in with_id
    for name in alone:
        assert address(name) == reverse(name) == render(f"{{% url '{name}' %}}")
    for name in with_id:
        expected = reverse(name, args=[key])
        assert address_with_id(name, key) == expected == render(f"{{% url '{name}' key %}}", key=key)


def test_only_simple_addresses_are_quick():
    def node(source: str) -> object:
        return Template(source).nodelist[0]

    assert isinstance(node("{% url 'messages' %}"), FixedAddress)
    assert isinstance(node("{% url 'thread' key %}"), AddressWithId)
    for source in (
        "{% url name %}",
        "{% url 'messages'|lower %}",
        "{% url 'admin:index' %}",
        "{% url 'thread' conversation_id=key %}",
        "{% url 'messages' as there %}",
    ):
        assert not isinstance(node(source), FixedAddress | AddressWithId), source


def test_the_other_forms_of_the_tag_work_as_before():
    key = uuid4()
    assert render("{% url 'thread' key %}", key=str(key)) == reverse("thread", args=[key])
    assert render("{% url 'thread' conversation_id=key %}", key=key) == reverse("thread", args=[key])
    assert render("{% url 'messages' as there %}[{{ there }}]") == f"[{reverse('messages')}]"
    assert render("{% url 'admin:index' %}") == reverse("admin:index")


@pytest.mark.parametrize("source", ["{% url 'nowhere' %}", "{% url 'thread' %}", "{% url 'messages' key %}"])
def test_an_address_that_does_not_exist_is_refused(source):
    for key in (uuid4(), "", "x"):
        with pytest.raises(NoReverseMatch):
            render(source, key=key)
