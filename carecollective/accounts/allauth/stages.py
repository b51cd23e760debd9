"""A sign-in takes several steps; it ends when the account is changed in between."""

from typing import Any

from allauth.account.stages import LoginStage


class RememberAccount(LoginStage):  # type: ignore[misc]
    """The first stage: remembers the account's state."""

    key = "remember_account"
    urlname = None

    def handle(self) -> tuple[Any, bool]:
        if self.login.user is not None:
            self.state.setdefault("hash", self.login.user.get_session_auth_hash())
        return None, True


class CheckAccount(LoginStage):  # type: ignore[misc]
    """The last stage: ends a sign-in that a new password, a sign-out everywhere or a shut-out overtook."""

    key = "check_account"
    urlname = None

    def handle(self) -> tuple[Any, bool]:
        user = self.login.user
        first = self.controller.get_stage(RememberAccount.key)
        return None, bool(user and user.is_active and first.state.get("hash") == user.get_session_auth_hash())
