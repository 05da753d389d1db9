"""One Cohere client per team: which key, which base URL, which model's floats can be trusted as base64."""

import array
from collections.abc import Sequence

from yarl import URL

from clients.codec.embed import FloatsAs
from clients.cohere_key import KeyRing
from clients.pacing.load import Load
from clients.pacing.pacer import Pacer
from clients.slot import Slot


class TeamClient:
    """The outbound side of one team."""

    def __init__(self, team: str, base_url: URL, keys: KeyRing) -> None:
        self.team = team
        self.base_url = base_url
        self.keys = keys

    async def slot(self, pacer: Pacer, load: Load, latest_s: float) -> Slot:
        """Grants leave for one attempt, once it is its turn.

        Args:
            pacer: Knows whose turn it is.
            load: What the attempt counts for in Cohere's limits.
            latest_s: When it has to begin at the latest, on the loop's clock.

        Raises:
            UpstreamError: COHERE_KEY_MISSING.
            PacingError: Its turn comes too late, or never.
            PaceLost: Nobody knows whose turn it is.
        """
        while True:
            key = self.keys.current()
            turn = await pacer.turn(self.team, key, load, latest_s)
            if self.keys.current().digest == key.digest:
                return Slot(self.keys.current(), self.base_url, turn)
            pacer.give_back(turn)  # the key has changed meanwhile, and each is paced for itself

    def has_turn(self, pacer: Pacer, load: Load) -> bool:
        """Tells whether an attempt could be made at once.

        Raises:
            UpstreamError: COHERE_KEY_MISSING.
        """
        return pacer.has_turn(self.team, self.keys.current(), load)


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
