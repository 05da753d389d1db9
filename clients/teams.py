"""One Cohere client per team: which key, which base URL, which model's floats can be trusted as base64."""

import array
from collections.abc import Sequence

from yarl import URL

from clients.codec.embed import FloatsAs
from clients.key_ring import KeyRing
from clients.pacing.load import Load
from clients.pacing.pacer import Pacer
from clients.slot import Slot


class TeamClient:
    """The outbound side of one team.

    Args:
        team: Its name.
        base_url: Its Cohere.
        keys: The versions of its key that are in use.
        source: Where its key comes from: the kind of the reference, such as "env".
    """

    def __init__(self, team: str, base_url: URL, keys: KeyRing, source: str) -> None:
        self.team = team
        self.base_url = base_url
        self.keys = keys
        self.source = source

    async def slot(self, endpoint: str, pacer: Pacer, load: Load, latest_s: float) -> Slot:
        """Grants leave for one attempt, once it is its turn.

        Args:
            endpoint: What the attempt calls.
            pacer: Knows whose turn it is.
            load: What the attempt counts for in Cohere's limits.
            latest_s: When it has to begin at the latest, on the loop's clock.

        Raises:
            UpstreamError: COHERE_KEY_MISSING; or COHERE_KEY_REJECTED, COHERE_BILLING, COHERE_KEY_FORBIDDEN, if Cohere
                has refused others.
            PacingError: Its turn comes too late, or never.
            PaceLost: Nobody knows whose turn it is.
        """
        while True:
            key = await self.keys.usable(endpoint)
            turn = await pacer.turn(self.team, key, load, latest_s)
            try:
                leave = await self.keys.leave(endpoint)  # it may have been refused meanwhile
            except BaseException:
                pacer.give_back(turn)
                raise
            slot = Slot(leave.key, self.base_url, turn, begun_s=leave.begun_s, trial=leave.trial)
            if leave.key.digest == key.digest:
                return slot
            self.keys.unused(slot, endpoint)
            pacer.give_back(turn)  # the key has changed meanwhile, and each is paced for itself

    def has_turn(self, pacer: Pacer, load: Load) -> bool:
        """Tells whether an attempt could be made at once, or is refused at once.

        Args:
            pacer: Knows whose turn it is.
            load: What the attempt counts for in Cohere's limits.

        Args:
            endpoint: What the attempt calls.
        """
        key = self.keys.in_use
        return key is None or pacer.has_turn(self.team, key, load)


class FloatTrust:
    """Remembers, per base URL and model, whether base64 embeddings equal the JSON floats bit for bit.

    Cohere documents base64 as the float32 bytes but not their order, so the first real Embed asks for both
    and compares; there is no probe that costs money by itself. What differs once is read as floats from then on.
    """

    def __init__(self) -> None:
        self._equal: dict[tuple[URL, str], bool] = {}

    def floats_as(self, base_url: URL, model: str) -> FloatsAs:
        """How to ask for floats now."""
        equal = self._equal.get((base_url, model))
        if equal is None:
            return FloatsAs.BOTH
        return FloatsAs.BASE64 if equal else FloatsAs.FLOAT

    def learn(self, base_url: URL, model: str, values: Sequence[float], *, equal: bool) -> None:
        """Keeps the outcome of one comparison; a difference is never forgotten.

        Args:
            base_url: Whose answer was compared.
            model: Of which model.
            values: The numbers of one vector. Numbers that read the same in either byte order prove nothing.
            equal: What the comparison gave.
        """
        numbers = array.array("f", values)
        swapped = array.array("f", values)
        swapped.byteswap()
        if equal and numbers.tobytes() == swapped.tobytes():
            return
        self._equal[base_url, model] = equal and self._equal.get((base_url, model), True)
