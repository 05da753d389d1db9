"""The lines that `cohort demo` prints to be pasted into a terminal, each a whole call."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.cli.defaults import CHAT_MODEL

QUESTION = "Why is the sea salty?"


@dataclass(frozen=True, slots=True)
class Program:
    """How this program and its Python were started, as words to start them again from the current folder."""

    cohort: Sequence[str]
    python: str

    @classmethod
    def running(cls) -> "Program":
        """The one that runs now."""
        python = _from_here(sys.executable)
        script = Path(sys.argv[0])
        installed = script.name == "cohort" and script.exists()
        return cls([_from_here(str(script.absolute()))] if installed else [python, "-m", "service.cli"], python)


def paste_grpcurl(target: str, access_key: str) -> str:
    """One Chat by grpcurl."""
    body = f'{{"model":"{CHAT_MODEL}","messages":[{{"role":"user","text":"{QUESTION}"}}]}}'
    words = ["-H", f"x-api-key: {access_key}", "-d", body, target, "cohort.v1.GatewayService/Chat"]
    return f"grpcurl -plaintext {shlex.join(words)}"


def paste_cohort_call(program: Program, target: str, access_key_file: Path) -> str:
    """One streamed Chat by `cohort call`."""
    options = ["--target", target, "--access-key-file", _from_here(str(access_key_file.absolute()))]
    words = [*program.cohort, "call", "chat", *options]
    return f'{shlex.join(words)} "{QUESTION}"'


def paste_python(program: Program, target: str, access_key: str) -> str:
    """One Chat by the stubs, as a script on Python's standard input."""
    return f"""\
{shlex.quote(program.python)} - <<'EOF'
import grpc
from cohort.client import with_access_key
from cohort.v1.chat_pb2 import ChatMessage, ChatRequest
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub

with grpc.insecure_channel("{target}") as channel:
    cohort = GatewayServiceStub(with_access_key(channel, "{access_key}"))
    question = ChatMessage(role="user", text="{QUESTION}")
    answer = cohort.Chat(ChatRequest(model="{CHAT_MODEL}", messages=[question]), timeout=60)
    print(answer.message.content[0].text)
EOF"""


def _from_here(path: str) -> str:
    """A path as short as it can be said in the current folder; symbolic links are not followed."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
