"""Why an attempt does not get its turn."""


class PacingError(Exception):
    """An attempt that is not made; nothing was sent, nothing is held.

    Attributes:
        limit_name: Which of Cohere's limits, as `Demand` names it.
        limit: What it allows in a minute.
    """

    def __init__(self, limit_name: str, limit: int) -> None:
        self.limit_name = limit_name
        self.limit = limit
        super().__init__(limit_name)


class UpstreamBusy(PacingError):
    """Its turn comes too late for it.

    Attributes:
        wait_ms: How long its turn is away, rounded up.
    """

    def __init__(self, limit_name: str, limit: int, wait_us: int) -> None:
        super().__init__(limit_name, limit)
        self.wait_ms = max(1, -(-wait_us // 1000))


class RequestExceedsRate(PacingError):
    """It counts for more than a whole minute allows.

    Attributes:
        amount: What it counts for.
    """

    def __init__(self, limit_name: str, limit: int, amount: int) -> None:
        super().__init__(limit_name, limit)
        self.amount = amount


class PaceLost(Exception):
    """The shared row cannot be read or written now; says why."""
