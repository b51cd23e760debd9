"""Widgets that are written in Python are what Django's templates write."""

import pytest
from django import forms
from django.forms.renderers import DjangoTemplates
from django.utils.safestring import SafeString

from carecollective.web.rendering.form_renderer import FixedSelect, PlainWidgets

EVIL = """'"><script>&\n"""
CHOICES = [("", "All"), ("a", EVIL), (EVIL, "b"), (3, 4), ("Group <", [("c", "C"), ("d", "D & D")])]
WIDGETS = {
    "text": forms.TextInput(attrs={"data-max": 100, "required": True, "hidden": False, "title": EVIL}),
    "safe attribute": forms.TextInput(attrs={"title": SafeString("a &amp; b")}),
    "search": forms.TextInput(attrs={"type": "search"}),
    "hidden": forms.HiddenInput(),
    "email": forms.EmailInput(),
    "password": forms.PasswordInput(),
    "shown password": forms.PasswordInput(render_value=True),
    "textarea": forms.Textarea(attrs={"rows": 5}),
    "select": forms.Select(choices=CHOICES, attrs={"autofocus": True}),
    "fixed select": FixedSelect(choices=CHOICES[:3]),
    "checkbox": forms.CheckboxInput(),
    "date": forms.DateInput(),
}


@pytest.mark.parametrize("value", [None, "", "a", EVIL, 3, 12345, True, SafeString("&amp;")], ids=repr)
@pytest.mark.parametrize("widget", WIDGETS.values(), ids=WIDGETS)
def test_a_widget_is_what_the_templates_write(widget, value):
    attrs = {"id": "id_field", "aria-describedby": "id_field_helptext"}
    expected, found = (widget.render("field", value, attrs, renderer()) for renderer in (DjangoTemplates, PlainWidgets))
    assert found == expected
    assert isinstance(found, SafeString)


class Chosen(forms.Form):
    kind = forms.Field(widget=FixedSelect(choices=[("a", "A"), ("b", "B")]))


def test_a_fixed_select_is_rendered_once_for_each_value():
    kept = Chosen.base_fields["kind"].widget._rendered
    kept.clear()  # of what other tests have rendered
    first = str(Chosen({"kind": "b"})["kind"])
    assert str(Chosen({"kind": "b"})["kind"]) == first
    assert 'value="b" selected' in first
    assert 'value="a" selected' in str(Chosen({"kind": "a"})["kind"])
    assert len(kept) == 2


def test_a_fixed_select_keeps_nothing_that_a_visitor_invents():
    kept = Chosen.base_fields["kind"].widget._rendered
    before = len(kept)
    for number in range(10):
        assert "selected" not in str(Chosen({"kind": f"invented {number}"})["kind"])
    assert len(kept) == before


def test_a_fixed_select_shows_what_is_set_on_it_later():
    form = Chosen({"kind": "b"})
    form.fields["kind"].widget.attrs["autofocus"] = True
    assert "autofocus" in str(form["kind"])
    assert "autofocus" not in str(Chosen({"kind": "b"})["kind"])
