"""A browser without a screen: it keeps cookies and sends a form with the token of the page that it is on."""

import re
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

from tests.sites import Site

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Visitor:
    """Who visits a site with cookies of their own."""

    def __init__(self, site: Site) -> None:
        self.origin = f"http://127.0.0.1:{site.port}"
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def post(self, path: str, form: dict[str, str]) -> int:
        """Open the page, send the form, and follow where it leads; return the status at which that ended."""
        status, page = self._ask(path)
        token = TOKEN.search(page)
        if status != 200 or not token:
            return status
        status, _page = self._ask(path, urllib.parse.urlencode({"csrfmiddlewaretoken": token[1], **form}).encode())
        return status

    def _ask(self, path: str, body: bytes | None = None) -> tuple[int, str]:
        try:
            with self.browser.open(self.origin + path, body, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
