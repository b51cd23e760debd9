"""The first sign-in with a legacy password replaces its hash; several at once must not shut each other out."""

import threading
from functools import partial
from typing import Any

import bcrypt
import pytest
from django.test import Client

from carecollective.accounts.models import User
from carecollective.accounts.sign_in import hashers
from carecollective.accounts.sign_in.hashers import from_legacy_hash
from tests.faults.scale import FULL

PASSWORD = "three green apples"


def test_first_sign_ins_at_once_all_hold(
    crowd: Any, member: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody is to be sent away because too many sign in: this is about who signs in to one account.
    monkeypatch.setattr(hashers, "_queue", threading.BoundedSemaphore(8))
    monkeypatch.setattr(hashers, "WAIT_SECONDS", 60)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
    legacy = from_legacy_hash(bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode())

    def by_page(email: str) -> int:
        browser = Client()
        browser.post("/login", {"email": email, "password": PASSWORD})
        return browser.get("/account").status_code

    def by_token(email: str) -> int:
        body = {"email": email, "password": PASSWORD}
        return Client().post("/api/auth/token", body, content_type="application/json").status_code

    for trial in range(10 if FULL else 5):
        ada = member(email=f"ada{trial}@example.org")
        User.objects.filter(pk=ada.pk).update(password=legacy)
        calls = [partial(by_page, ada.email), partial(by_token, ada.email)] * 4
        assert crowd(*calls) == [200] * 8
