"""`{% field %}` and `{% csrf_token %}`: what is written once, and for whom."""

import re

import pytest
from django import forms
from django.template import engines
from django.test import Client, RequestFactory

from carecollective.web.pages import RawForm

pytestmark = pytest.mark.django_db


class Asking(RawForm):
    name = forms.Field(label="Your name", help_text="As neighbours know you.")
    colour = forms.ChoiceField(choices=[("red", "Red")])


class AskingOtherwise(RawForm):
    name = forms.Field(label="Your cat's name", required=False)


def shown(form: forms.Form, field: str = "name", tag: str = "{% field form.FIELD %}") -> str:
    source = tag.replace("FIELD", field)
    return engines["django"].from_string(source).render({"form": form}, RequestFactory().get("/"))


def test_an_empty_field_is_the_same_each_time_and_its_forms_own():
    first = shown(Asking())
    assert shown(Asking()) == first
    assert "Your name" in first
    assert "As neighbours know you." in first
    other = shown(AskingOtherwise())
    assert "Your cat" in other
    assert "(optional)" in other
    assert "(optional)" not in shown(AskingOtherwise(), tag="{% field form.FIELD unmarked=True %}")
    assert 'id="her_name"' in shown(Asking(auto_id="her_%s"))


def test_what_somebody_typed_is_theirs_alone():
    empty = shown(Asking())
    form = Asking({"name": "Ada"})
    form.add_error("name", "Please write more.")
    typed = shown(form)
    assert 'value="Ada"' in typed
    assert "Please write more." in typed
    assert 'value="Ben"' in shown(Asking(initial={"name": "Ben"}))
    assert shown(Asking()) == empty


def test_a_field_that_was_changed_for_this_page_is_written_anew():
    empty, changed = shown(Asking()), Asking()
    changed.fields["name"].widget.attrs["autofocus"] = True
    assert " autofocus" in shown(changed)
    renamed = Asking()
    renamed.fields["name"].label = "Their name"
    assert "Their name" in shown(renamed)
    chosen = Asking()
    chosen.fields["colour"] = forms.ChoiceField(choices=[("blue", "Blue")])
    assert "Red" in shown(Asking(), "colour")
    assert "Blue" in shown(chosen, "colour")
    assert shown(Asking()) == empty


def test_the_forms_of_a_page_share_a_token_and_no_two_pages_do(member):
    browser = Client(enforce_csrf_checks=True)
    ada = member(name="Ada")
    browser.force_login(ada)
    pages = [
        re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get("/account").content.decode()) for _ in "12"
    ]
    assert all(len(tokens) > 1 and len(set(tokens)) == 1 for tokens in pages)
    assert pages[0][0] != pages[1][0]
    given = {"csrfmiddlewaretoken": pages[0][0]}
    assert browser.post("/logout", given).status_code == 302
    assert browser.post("/logout", {"csrfmiddlewaretoken": "a" * 64}).status_code == 403
