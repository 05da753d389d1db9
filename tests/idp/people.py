"""People who sign in at the provider of the tests: what a browser and its user would do, without either."""

import html
import re
from urllib.parse import urljoin, urlsplit

import httpx

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
_STEPS_MAX = 12


def sign_in(url: str, login: str = "ada") -> str:
    """Signs in and agrees to everything; returns where the browser is sent then: the client's own redirect URI.

    Args:
        url: Where the client sends its user: the authorization endpoint, with its parameters.
        login: Who signs in.
    """
    with httpx.Client(trust_env=False) as browser:
        return _until_sent_away(browser, browser.get(url), login)


def refuse(url: str) -> str:
    """Declines to sign in; returns where the browser is sent then."""
    with httpx.Client(trust_env=False) as browser:
        page = browser.get(url)
        page = browser.get(urljoin(url, page.headers["location"]))
        return _until_sent_away(browser, browser.get(f"{page.url}/abort"), "nobody")


def approve_device(verification_uri: str, user_code: str, login: str = "ada") -> None:
    """Enters the code that a device shows, signs in and agrees to everything."""
    with httpx.Client(trust_env=False) as browser:
        form = dict(_HIDDEN.findall(browser.get(verification_uri).text))
        page = browser.post(verification_uri, data={**form, "user_code": user_code})
        form = dict(_HIDDEN.findall(page.text))
        page = browser.post(verification_uri, data={**form, "user_code": user_code, "confirm": "yes"})
        _until_sent_away(browser, page, login)


def _until_sent_away(browser: httpx.Client, page: httpx.Response, login: str) -> str:
    """Follows redirects and fills in forms, until the provider is left or has no more to ask."""
    home = urlsplit(str(page.url)).netloc
    for _ in range(_STEPS_MAX):
        if page.is_redirect:
            target = urljoin(str(page.url), page.headers["location"])
            if urlsplit(target).netloc != home:
                return target
            page = browser.get(target)
            continue
        page.raise_for_status()
        prompt = dict(_HIDDEN.findall(page.text)).get("prompt")
        if prompt is None:
            return str(page.url)
        action = html.unescape(re.findall(r'<form[^>]*action="([^"]+)"', page.text)[0])
        page = browser.post(urljoin(str(page.url), action), data={"prompt": prompt, "login": login, "password": "any"})
    raise AssertionError(f"the provider asks again and again: {page.url}")
