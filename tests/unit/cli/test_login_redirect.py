"""The page that a browser comes back to after a login: what it takes, and what it does not wait for."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from service.cli.commands import CommandFailed
from service.cli.oauth_issuer import http_client
from service.cli.oauth_redirect import Redirect, redirect


@pytest.fixture
def page() -> Iterator[Redirect]:
    with redirect(0) as listening:
        yield listening


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, verify=False) as client:
        yield client


def test_it_listens_on_this_machine_alone(page: Redirect) -> None:
    assert page.socket.getsockname()[0] == "127.0.0.1"
    assert page.uri == f"http://127.0.0.1:{page.server_port}/callback"


def right(page: Redirect, **more: str) -> dict[str, str]:
    """What the issuer sends the browser back with."""
    return {"code": "c", "state": page.state, **more}


def test_what_came_is_handed_on(page: Redirect, browser: httpx.Client) -> None:
    browser.get(page.uri, params=right(page, text="s & t", empty=""))

    assert page.answer(5) == right(page, text="s & t", empty="")


@pytest.mark.parametrize("state", [None, "", "x" * 43, "ü", "{}x", " {}", "{}\x00"])
def test_what_is_not_of_this_login_is_told_so_and_not_waited_for(
    state: str | None, page: Redirect, browser: httpx.Client
) -> None:
    wrong = {"code": "evil"} | ({} if state is None else {"state": state.format(page.state)})
    for _ in range(3):
        assert browser.get(page.uri, params=wrong).status_code == 400
        assert browser.get(page.uri, params={**wrong, "error": "access_denied"}).status_code == 400
    with pytest.raises(CommandFailed, match="nobody has logged in"):
        page.answer(0)

    assert browser.get(page.uri, params=right(page)).status_code == 200
    assert browser.get(page.uri, params=wrong).status_code == 400
    assert browser.get(page.uri, params=right(page)).status_code == 410
    assert page.answer(5) == right(page)


@pytest.mark.parametrize("query", ["state={}&code=c&code=d", "state={}&state={}", "state={}" + "&p=x" * 21])
def test_what_is_ambiguous_or_too_much_is_nothing(query: str, page: Redirect, browser: httpx.Client) -> None:
    assert browser.get(f"{page.uri}?{query.format(page.state, page.state)}").status_code == 400
    with pytest.raises(CommandFailed, match="nobody has logged in"):
        page.answer(0)


def test_a_connection_on_which_nothing_comes_holds_nobody_up(page: Redirect, browser: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", page.server_port)):
        browser.get(page.uri, params=right(page))

        assert page.answer(5) == right(page)


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
def test_another_method_is_no_answer(method: str, page: Redirect, browser: httpx.Client) -> None:
    assert browser.request(method, page.uri, params=right(page)).status_code == 501
    with pytest.raises(CommandFailed, match="nobody has logged in"):
        page.answer(0)


def test_the_page_is_neither_kept_nor_does_it_tell_where_it_is(page: Redirect, browser: httpx.Client) -> None:
    headers = browser.get(page.uri, params=right(page)).headers

    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'"


def test_a_request_is_not_written_to_the_terminal(
    page: Redirect, browser: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    browser.get(page.uri, params={"code": "c"})
    with socket.create_connection(("127.0.0.1", page.server_port)) as connection:
        connection.sendall(b"GET http://[?code=c HTTP/1.1\r\n\r\n")
        assert connection.recv(100) == b""

    assert capfd.readouterr() == ("", "")


def test_a_port_of_ones_own_can_be_used_again_at_once(browser: httpx.Client) -> None:
    with redirect(0) as first:
        browser.get(first.uri, params=right(first))
    port = urlsplit(first.uri).port
    assert port is not None

    with redirect(port) as second:
        assert browser.get(second.uri, params=right(second)).status_code == 200


def test_an_issuer_that_redirects_is_not_followed() -> None:
    # Else a code or a refresh token would be sent on to wherever it says.
    with http_client() as http:
        assert not http.follow_redirects
