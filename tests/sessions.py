"""A member's session for a test's client, as signing in leaves it."""

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.test import Client

from carecollective.accounts.models import User
from carecollective.accounts.sign_in.sessions import SessionStore

BACKEND = "django.contrib.auth.backends.ModelBackend"


def give_session(client: Client, user: User) -> None:
    """Let the client be signed in, by two statements: `force_login` makes twelve, and the tests sign in thousands of times."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = BACKEND
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.is_staffs = user.is_staff
    session.create()
    client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key or ""
