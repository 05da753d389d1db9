"""RotateKey: validate → whose → rotate → answer. A key that is given is in no record, no log line and no answer."""

import asyncio

import orjson

from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1 import rotate_key_pb2
from cohort.v1.rotate_key_pb2 import (
    RotateKeyRequest,
    RotateKeyResponse,
    RotationFailureCause,
    RotationState,
)
from service.books.errors import TeamUnknown
from service.call import Call, current_call
from service.context import Context
from service.errors import DeadlineExceeded, Refused
from service.rotation.checking import ADVICE
from service.rotation.fingerprint import Fingerprints
from service.rotation.held_keys import KIND
from service.rotation.history import Cause, History, Rotation, State
from service.rotation.parts import Checked
from service.rotation.rotations import Rotations, Wish
from service.servicers.asking import one_team_asked, operator_of, require_valid
from service.validation import violations_of_rotate_key

OVERLAP_DEFAULT_S = 24 * 3600

_NOT_SEEN = "The deadline came before the rotation was in use; it goes on: send the same request_id again"

_STATES: dict[State, RotationState.ValueType] = {
    State.STAGED: rotate_key_pb2.ROTATION_STATE_STAGED,
    State.VERIFIED: rotate_key_pb2.ROTATION_STATE_VERIFIED,
    State.CURRENT: rotate_key_pb2.ROTATION_STATE_CURRENT,
    State.RETIRED: rotate_key_pb2.ROTATION_STATE_RETIRED,
    State.DESTROYED: rotate_key_pb2.ROTATION_STATE_DESTROYED,
    State.ROLLED_BACK: rotate_key_pb2.ROTATION_STATE_ROLLED_BACK,
    State.FAILED: rotate_key_pb2.ROTATION_STATE_FAILED,
}


class RotateKeyServicer:
    """The part of GatewayService that rotates Cohere keys.

    Args:
        rotations: Does it.
        fingerprints: Names what a request holds.
    """

    def __init__(self, rotations: Rotations, fingerprints: Fingerprints) -> None:
        self._rotations = rotations
        self._fingerprints = fingerprints

    async def RotateKey(self, request: RotateKeyRequest, _: Context) -> RotateKeyResponse:
        """Puts a new version of a team's Cohere key into use."""
        call = current_call()
        call.request = b""  # it may hold the key
        require_valid(violations_of_rotate_key(request))
        team = one_team_asked(call, request.team)
        if team not in call.snapshot.policies:
            raise TeamUnknown(team)
        _require_held(call, team, request)
        wish = self._wish(call, team, request)
        response = RotateKeyResponse()
        try:
            async with asyncio.timeout_at(call.deadline_s):
                doing = self._rotations.validate if request.validate_only else self._rotations.rotate
                told = await doing(wish)
        except TimeoutError:
            raise DeadlineExceeded(_NOT_SEEN) from None
        if told.checked is not None:
            _fill_judgement(response.rotation, told.checked)
        elif told.rotation is not None:
            _fill(response.rotation, told.rotation)
        response.unchanged = told.unchanged
        response.rotation.team = team
        _fill_versions(response.rotation, told.history)
        return response

    def _wish(self, call: Call, team: str, request: RotateKeyRequest) -> Wish:
        overlap_s = request.overlap_seconds if request.HasField("overlap_seconds") else OVERLAP_DEFAULT_S
        content = orjson.dumps([team, request.inline_key, overlap_s, request.probe])
        return Wish(
            team=team,
            by=operator_of(call).principal,
            overlap_us=overlap_s * 1_000_000,
            value=request.inline_key if request.HasField("inline_key") else None,
            probe=request.probe,
            request_id=request.request_id,
            request_digest=self._fingerprints.of_request(content),
        )


def _require_held(call: Call, team: str, request: RotateKeyRequest) -> None:
    """Refuses a key for a team whose key Cohort does not keep.

    Raises:
        Refused: KEY_SOURCE_READ_ONLY.
    """
    kind = call.snapshot.loaded.config.teams[team].cohere_key.partition(":")[0]
    if request.HasField("inline_key") and kind != KIND:
        message = f"the Cohere key of team {team} is kept in its source ({kind}): put the new one there, and reload"
        metadata = {"team": team, "source": kind}
        raise Refused(reasons.ERROR_REASON_KEY_SOURCE_READ_ONLY, message, metadata, field="inline_key")


def _fill(told: rotate_key_pb2.Rotation, rotation: Rotation) -> None:
    told.id = rotation.id
    told.state = _STATES[rotation.state]
    told.start_time.FromMicroseconds(rotation.started_at_us)
    told.update_time.FromMicroseconds(rotation.changed_at_us)
    if rotation.cause is not None:
        _fill_failure(told, rotation.cause, rotation.message)


def _fill_judgement(told: rotate_key_pb2.Rotation, checked: Checked) -> None:
    told.state = _STATES[State.VERIFIED if checked.cause is None else State.FAILED]
    if checked.cause is not None:
        _fill_failure(told, checked.cause, checked.message)


def _fill_failure(told: rotate_key_pb2.Rotation, cause: Cause, message: str) -> None:
    told.failure.cause = RotationFailureCause.Value(f"ROTATION_FAILURE_CAUSE_{cause.name}")
    told.failure.message, told.failure.advice = message, ADVICE[cause]


def _fill_versions(told: rotate_key_pb2.Rotation, history: History) -> None:
    if history.current is not None:
        told.current_version = history.current.version
    if history.previous is not None:
        told.previous_version = history.previous.version
        told.overlap_end_time.FromMicroseconds(history.previous.overlap_until_us)
