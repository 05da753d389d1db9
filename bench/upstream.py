"""A canned Cohere that is not the bottleneck: nginx, answering every POST with a file."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.processes import START_S_MAX, ServerFailed

STREAMS = "streams"
"""Path before the one of Cohere's endpoint that answers with events: one process serves both kinds of chat."""

# A static file answers POST with 405, which is made a 200 with the file itself as its page. The headers are
# about as many as Cohere sends.
_CONFIG: Final = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/tmp_body;
  proxy_temp_path {folder}/tmp_proxy;
  fastcgi_temp_path {folder}/tmp_fastcgi;
  uwsgi_temp_path {folder}/tmp_uwsgi;
  scgi_temp_path {folder}/tmp_scgi;
  client_max_body_size 64m;
  client_body_buffer_size 2m;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  etag off;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/answers;
    error_page 405 =200 $uri;
    default_type application/json;
    add_header x-debug-trace-id 0123456789abcdef0123456789abcdef;
    add_header cache-control "no-cache, no-store, no-transform, must-revalidate, private, max-age=0";
    add_header pragma no-cache;
    add_header vary Origin;
    add_header x-envoy-upstream-service-time 270;
    add_header num_chars 433;
    add_header num_tokens 32;
    add_header via "1.1 google";
    add_header alt-svc 'h3=":443"; ma=2592000,h3-29=":443"; ma=2592000';
    location /{streams}/ {{ default_type text/event-stream; }}
  }}
}}
"""


class Upstream:
    """A running nginx.

    Args:
        port: Where it listens.
        answers: The folder of its files.
    """

    def __init__(self, port: int, answers: Path) -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self._answers = answers

    def answer(self, path: str, body: bytes) -> None:
        """Answers every later POST to *path* with *body*."""
        file = self._answers / path
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".fresh")
        fresh.write_bytes(body)
        fresh.replace(file)


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[Upstream]:
    """Runs nginx inside the context.

    Raises:
        ServerFailed: It did not start.
    """
    port = free_port()
    (folder / "answers").mkdir()
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port, streams=STREAMS))
    command = ["nginx", "-e", str(folder / "nginx.log"), "-p", str(folder), "-c", str(config)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield Upstream(port, folder / "answers")
    finally:
        process.terminate()
        process.wait(START_S_MAX)


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up_s = time.monotonic() + START_S_MAX
    while time.monotonic() < give_up_s and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise ServerFailed("nginx did not start; its reason stands above")
