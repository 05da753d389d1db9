"""`cohort login`: logs a person in at an issuer, in the browser or on another device, and keeps what it gives."""

import argparse
import sys

from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.login_renewal import login_of
from service.cli.oauth_code import by_code, has_browser
from service.cli.oauth_device import by_device
from service.cli.oauth_issuer import discovered, http_client
from service.cli.oauth_redirect import redirect
from service.cli.oauth_tokens import Asked, TokenEndpoint
from service.cli.printing import show
from service.cli.token_keyring import working_backend
from service.cli.token_store import Login, login_store

SCOPES_DEFAULT = "openid offline_access"
TIMEOUT_DEFAULT_S = 300.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    where = parser.add_argument_group("where to log in, and for what; all as at the last login if --issuer is left out")
    where.add_argument("--issuer", metavar="URL", help="the authorization server, exactly as its tokens say in `iss`")
    where.add_argument("--client-id", metavar="ID", help="what it knows this program by: a public client, no secret")
    where.add_argument(
        "--scopes",
        type=_words,
        metavar="S",
        help=f'what to ask for, separated by spaces or commas (default: "{SCOPES_DEFAULT}")',
    )
    where.add_argument("--audience", metavar="A", help="`audience` to ask for, where the issuer wants that")
    where.add_argument(
        "--resource", metavar="URI", help="`resource` to ask for (RFC 8707), where the issuer wants that"
    )
    parser.add_argument(
        "--device", action="store_true", help="log in with a browser elsewhere (default: if there is none here)"
    )
    parser.add_argument(
        "--redirect-port",
        type=_port,
        default=0,
        metavar="N",
        help="the port of 127.0.0.1 where the browser comes back to (default: any)",
    )
    parser.add_argument(
        "--keyring", action="store_true", help="keep the tokens in the operating system's keyring, not in a file"
    )
    parser.add_argument(
        "--timeout-seconds",
        type=float,
        default=TIMEOUT_DEFAULT_S,
        metavar="S",
        help="how long logging in may take (default: %(default)g)",
    )
    parser.set_defaults(run=_run)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port")
    return port


def _run(arguments: argparse.Namespace) -> int:
    store = login_store()
    last = store.described() if arguments.issuer is None else None
    name, asked = _wanted(arguments, last)
    keyring = arguments.keyring or (last is not None and last.keyring)
    if keyring:
        working_backend()  # before the person takes the trouble
    login = _logged_in(name, asked, arguments).model_copy(update={"keyring": keyring})
    with store.locked():
        store.save(login)
    place = f"the keyring, the rest in {store.file}" if keyring else str(store.file)
    who = f" as {login.subject}" if login.subject else ""
    show(f"Logged in at {login.issuer}{who}. The tokens are in {place}.\n")
    if login.refresh_token is None:
        _tell("The issuer gave no refresh token (scope offline_access?): the login ends with the access token.\n")
    return 0


def _wanted(arguments: argparse.Namespace, last: Login | None) -> tuple[str, Asked]:
    issuer, client_id = arguments.issuer, arguments.client_id
    if last is not None:
        issuer, client_id = last.issuer, client_id or last.client_id
    if not issuer or not client_id:
        raise CommandFailed("where to log in? give --issuer and --client-id", NOT_STARTED)
    asked = Asked(
        client_id,
        arguments.scopes or (last.scopes_asked if last else _words(SCOPES_DEFAULT)),
        arguments.audience or (last.audience if last else None),
        arguments.resource or (last.resource if last else None),
    )
    return issuer, asked


def _logged_in(name: str, asked: Asked, arguments: argparse.Namespace) -> Login:
    timeout_s = arguments.timeout_seconds
    with http_client() as http:
        issuer = discovered(http, name)
        endpoint = TokenEndpoint(http, issuer.token_endpoint, asked)
        # A browser elsewhere cannot come back to this machine; it is tried all the same where there is no other way.
        if arguments.device or (not has_browser() and issuer.device_authorization_endpoint is not None):
            issued, nonce = by_device(http, issuer, endpoint, asked, timeout_s, _tell), None
        else:
            with redirect(arguments.redirect_port) as page:
                issued, nonce = by_code(issuer, endpoint, asked, page, timeout_s, _tell)
    return login_of(issuer, asked, issued, nonce)


def _tell(text: str) -> None:
    show(text, sys.stderr)
