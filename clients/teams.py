"""One Cohere client per team: which key, which base URL, which model's floats can be trusted as base64."""

import array
from collections.abc import Sequence

from yarl import URL

from clients.codec.embed import FloatsAs
from clients.key_ring import KeyRing
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

    async def slot(self, endpoint: str) -> Slot:
        """Grants leave for one attempt.

        Args:
            endpoint: What the attempt calls.

        Raises:
            UpstreamError: COHERE_KEY_MISSING; or COHERE_KEY_REJECTED, COHERE_BILLING, COHERE_KEY_FORBIDDEN, if Cohere
                has refused others.
        """
        leave = await self.keys.leave(endpoint)
        return Slot(leave.key, self.base_url, begun_s=leave.begun_s, trial=leave.trial)


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
