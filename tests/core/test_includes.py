"""`{% include %}` finds a template that is named in the page once, and is Django's otherwise."""

import pytest
from django.template import Context, Engine, Template, TemplateDoesNotExist

PARTS = {"part.html": "[{{ word }}]", "missing.html": "{% include 'nowhere.html' %}"}


def engine() -> Engine:
    loaders = [("django.template.loaders.locmem.Loader", PARTS)]
    return Engine(loaders=loaders, builtins=["carecollective.core.templatetags.includes"])


def render(source: str, **given: object) -> str:
    return engine().from_string(source).render(Context(given))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% include 'part.html' %}", "[a &amp; b]"),
        ("{% include name %}", "[a &amp; b]"),
        ("{% include 'PART.html'|lower %}", "[a &amp; b]"),
        ("{% include 'part.html' with word='c' %}{{ word }}", "[c]a &amp; b"),
        ("{% include 'part.html' only %}", "[]"),
        ("{% for one in 'xy' %}{% include 'part.html' with word=one %}{% endfor %}", "[x][y]"),
    ],
)
def test_it_shows_what_django_would(source, expected):
    assert render(source, name="part.html", word="a & b") == expected


def test_a_template_that_is_named_is_found_once(monkeypatch):
    source, found = engine(), []
    plain = source.get_template

    def count(name: str) -> Template:
        found.append(name)
        return plain(name)

    monkeypatch.setattr(source, "get_template", count)
    page = source.from_string("{% include 'part.html' %}")
    assert page.render(Context({"word": 1})) == "[1]"
    assert page.render(Context({"word": 2})) == "[2]"
    assert found == ["part.html"]


@pytest.mark.parametrize(
    "source", ["{% include 'nowhere.html' %}", "{% include 'missing.html' %}", "{% include name %}"]
)
def test_a_missing_template_is_refused(source):
    with pytest.raises(TemplateDoesNotExist, match="nowhere"):
        render(source, name="nowhere.html")
