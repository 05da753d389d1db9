"""`cohort rotate`: puts a new version of a team's Cohere key into use, and shows how far it gets."""

import argparse
import re
import sys
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillGoing
from pathlib import Path

import grpc

from clients.secrets.source import without_line_end
from cohort.v1.rotate_key_pb2 import RotateKeyRequest, RotateKeyResponse, Rotation
from cohort.v1.rotate_key_pb2 import RotationState as State
from service.cli import calling
from service.cli.commands import FAILED, INTERRUPTED, NOT_STARTED, CommandFailed
from service.cli.printing import printable, show
from service.cli.requests import as_json_line
from service.cli.table import table
from service.cli.times import told

OVERLAP_DEFAULT = "24h"
OVERLAP_S_MAX = 2_592_000
KEY_BYTES_MAX = 4096
LOOK_S = 0.5
"""How often it is asked how far a rotation got."""

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_OPEN = (State.ROTATION_STATE_STAGED, State.ROTATION_STATE_VERIFIED)
_ENDED_BADLY = (State.ROTATION_STATE_FAILED, State.ROTATION_STATE_ROLLED_BACK)
_PROGRESS = {
    State.ROTATION_STATE_STAGED: "the new version was read, and is being checked",
    State.ROTATION_STATE_VERIFIED: "Cohere takes the new version",
    State.ROTATION_STATE_CURRENT: "calls use the new version; the old one is kept to fall back on",
    State.ROTATION_STATE_RETIRED: "nothing falls back on the old version any more",
    State.ROTATION_STATE_DESTROYED: "no call uses the old version any more",
    State.ROTATION_STATE_ROLLED_BACK: "the old version is in use again",
    State.ROTATION_STATE_FAILED: "the new version was never in use",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("team", metavar="TEAM", help="the team, as the config names it")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--reload", action="store_true", help="read the source of the team's key again, which has a new one (default)"
    )
    source.add_argument(
        "--key-file", metavar="FILE", help="the new key, for a team whose key Cohort keeps itself; - for stdin"
    )
    parser.add_argument(
        "--overlap",
        type=_overlap,
        default=OVERLAP_DEFAULT,
        metavar="TIME",
        help="how long the old key is kept to fall back on, such as 90s, 15m, 24h, 7d or 0s (default: %(default)s)",
    )
    parser.add_argument("--validate-only", action="store_true", help="check the new key, and change nothing")
    parser.add_argument("--probe", action="store_true", help="try the new key on a small call, paid by the budget")
    parser.add_argument("--request-id", metavar="ID", help="names the request: sent again, it shows the same rotation")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON, on one line")
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _overlap(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    seconds = int(match[1]) * _UNITS_S[match[2]] if match else -1
    if not 0 <= seconds <= OVERLAP_S_MAX:
        raise argparse.ArgumentTypeError(f"{text} is no time such as 90s, 15m, 24h or 7d, of at most 30d")
    return seconds


def _run(arguments: argparse.Namespace) -> int:
    request = _request(arguments)
    with calling.caller(arguments) as caller:
        answer = _Rotating(caller, request).watched()
    rotation = answer.rotation
    if arguments.json:
        show(f"{as_json_line(answer)}\n")
    else:
        show(f"{_text(answer, validated=request.validate_only)}\n")
    if rotation.HasField("failure"):
        show(f"{printable(rotation.failure.message)}\n{printable(rotation.failure.advice)}\n", sys.stderr)
    return FAILED if rotation.state in _ENDED_BADLY else 0


def _request(arguments: argparse.Namespace) -> RotateKeyRequest:
    request = RotateKeyRequest(
        team=arguments.team,
        overlap_seconds=arguments.overlap,
        validate_only=arguments.validate_only,
        probe=arguments.probe,
        request_id=arguments.request_id or str(uuid.uuid4()),
    )
    if arguments.key_file is None:
        request.reload = True
    else:
        request.inline_key = _key_of(arguments.key_file)
    return request


def _key_of(file: str) -> str:
    """The key that a file holds; it is never an argument, which others on the machine see."""
    try:
        raw = sys.stdin.buffer.read(KEY_BYTES_MAX + 1) if file == "-" else _head_of(Path(file))
        key = without_line_end(raw.decode())
    except OSError as error:
        raise CommandFailed(f"--key-file: {error}", NOT_STARTED) from None
    except UnicodeDecodeError:  # what it says may quote the key
        raise CommandFailed("--key-file: holds no text", NOT_STARTED) from None
    if not key or len(raw) > KEY_BYTES_MAX:
        problem = f"longer than {KEY_BYTES_MAX} bytes" if key else "empty"
        raise CommandFailed(f"--key-file: {problem}", NOT_STARTED)
    return key


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(KEY_BYTES_MAX + 1)


class _Rotating:
    """One rotation, asked for and watched.

    Args:
        caller: Asks.
        request: What for.
    """

    def __init__(self, caller: calling.Caller, request: RotateKeyRequest) -> None:
        self._caller = caller
        self._request = request
        self._again = f"it may go on all the same: look at it with --request-id {request.request_id}"
        self._begun_s = time.monotonic()
        self._state: State.ValueType = State.ROTATION_STATE_UNSPECIFIED

    def watched(self) -> RotateKeyResponse:
        """Asks, and shows on stderr how far it gets until it is in use or over.

        Raises:
            CommandFailed: It was refused, or nobody answers.
        """
        elsewhere = ThreadPoolExecutor(1)
        try:
            answer = self._waited_for(elsewhere.submit(self._ask))
            while answer.rotation.state in _OPEN and not self._request.validate_only:
                self._show(answer.rotation)
                time.sleep(LOOK_S)
                answer = self._ask()
        except KeyboardInterrupt:
            raise CommandFailed(f"interrupted; {self._again}", INTERRUPTED) from None
        finally:
            elsewhere.shutdown(wait=False)  # what is still asked there ends with the channel
        self._show(answer.rotation)
        return answer

    def _ask(self) -> RotateKeyResponse:
        return self._caller.make(self._caller.stub.RotateKey, self._request, self._again)

    def _waited_for(self, answer: "Future[RotateKeyResponse]") -> RotateKeyResponse:
        """Waits for the answer, and asks meanwhile how far it is: under the same name, that begins nothing."""
        while True:
            try:
                return answer.result(LOOK_S)
            except StillGoing:
                if not self._request.validate_only:
                    self._look()

    def _look(self) -> None:
        try:
            self._show(self._caller.stub.RotateKey(self._request, timeout=LOOK_S).rotation)
        except grpc.RpcError:
            return  # the answer itself says what is wrong

    def _show(self, rotation: Rotation) -> None:
        if rotation.state == self._state or rotation.state not in _PROGRESS or self._request.validate_only:
            return
        self._state = rotation.state
        after_s = time.monotonic() - self._begun_s
        show(f"[{after_s:5.1f} s] {_word(rotation.state)}: {_PROGRESS[rotation.state]}\n", sys.stderr)


def _text(answer: RotateKeyResponse, *, validated: bool) -> str:
    rotation = answer.rotation
    state = _word(rotation.state) if rotation.state else "-"
    if validated:
        state += " (nothing was changed)"
    elif answer.unchanged:
        state = "unchanged: the source holds the version in use"
    columns = ("TEAM", "ROTATION", "STATE", "CURRENT", "PREVIOUS", "KEPT UNTIL")
    cells = (
        rotation.team,
        rotation.id or "-",
        state,
        str(rotation.current_version) if rotation.HasField("current_version") else "-",
        str(rotation.previous_version) if rotation.HasField("previous_version") else "-",
        told(rotation.overlap_end_time) if rotation.HasField("overlap_end_time") else "-",
    )
    return table(columns, [[(cell,) for cell in cells]])


def _word(state: State.ValueType) -> str:
    return State.Name(state).removeprefix("ROTATION_STATE_").lower().replace("_", " ")
