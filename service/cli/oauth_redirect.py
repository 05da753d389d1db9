"""Where an issuer sends the browser back to: a page of this machine that takes one answer (RFC 8252 section 7.3).

Any page in the browser and any program here can ask for it. What does not repeat the `state` of this login
(RFC 6749 section 10.12) is told so, and changes nothing.
"""

import contextlib
import hmac
import queue
import secrets
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from service.cli.commands import NOT_STARTED, CommandFailed

_HOST, _PATH = "127.0.0.1", "/callback"
_READ_TIMEOUT_S = 10
_PARAMETERS_MAX = 20
_STATE_BYTES = 32
_PAGE = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>cohort login</title>"
    b"<p>This window can be closed: the terminal says how the login went.</p></html>\n"
)


class Redirect(ThreadingHTTPServer):
    """The page. Browsers open connections on which nothing comes, so each has a thread.

    Args:
        port: Where; 0 for anywhere.

    Attributes:
        state: What the answer has to repeat. Never shown.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int) -> None:
        super().__init__((_HOST, port), _Handler)
        self.state = secrets.token_urlsafe(_STATE_BYTES)
        self._answers: queue.SimpleQueue[Mapping[str, str]] = queue.SimpleQueue()
        self._first = threading.Semaphore()

    @property
    def uri(self) -> str:
        """Its URL, which the issuer is told."""
        return f"http://{_HOST}:{self.server_port}{_PATH}"

    def answer(self, timeout_s: float) -> Mapping[str, str]:
        """Waits for the parameters with which the browser comes back.

        Raises:
            CommandFailed: It does not come in time.
        """
        try:
            return self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise CommandFailed(f"nobody has logged in within {timeout_s:g} s") from None

    def take(self) -> bool:
        """Whether this is the first answer, which alone is taken."""
        return self._first.acquire(blocking=False)

    def expects(self, parameters: Mapping[str, str]) -> bool:
        """Whether they are of this login."""
        # Bytes, because text is compared in constant time only if it is ASCII.
        return hmac.compare_digest(parameters.get("state", "").encode(errors="replace"), self.state.encode())

    def give(self, parameters: Mapping[str, str]) -> None:
        """Hands the answer to who waits for it."""
        self._answers.put(parameters)

    def server_bind(self) -> None:
        """Binds, without asking a name server what 127.0.0.1 is called, as an HTTPServer would."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = _HOST, self.socket.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no matter; the traceback that would be printed is."""


@contextlib.contextmanager
def redirect(port: int) -> Iterator[Redirect]:
    """Listens while the context is open.

    Raises:
        CommandFailed: It cannot.
    """
    try:
        server = Redirect(port)
    except OSError as error:
        raise CommandFailed(f"{_HOST}:{port} cannot be listened on: {error.strerror}", NOT_STARTED) from None
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: Redirect
    timeout = _READ_TIMEOUT_S
    server_version, sys_version = "cohort", ""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        parameters = _parameters(parts.query)
        if parts.path != _PATH:
            self._respond(HTTPStatus.NOT_FOUND)
        elif not self.server.expects(parameters):
            self._respond(HTTPStatus.BAD_REQUEST)
        elif not self.server.take():
            self._respond(HTTPStatus.GONE)
        else:
            try:
                self._respond(HTTPStatus.OK, _PAGE)
            finally:  # also if the browser did not wait for the page
                self.server.give(parameters)

    def log_message(self, *_: object) -> None:
        """Nothing: a request holds the code."""

    def _respond(self, status: HTTPStatus, page: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Content-Security-Policy", "default-src 'none'")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(page)


def _parameters(query: str) -> Mapping[str, str]:
    """What came, once each; nothing if it is ambiguous (RFC 6749 section 3.1)."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX)
    except ValueError:
        return {}
    parameters = dict(pairs)
    return parameters if len(parameters) == len(pairs) else {}
