"""What is simulated: how many replicas and calls, against which budgets, and what goes wrong meanwhile."""

from dataclasses import dataclass

DOLLAR_NANOS = 1_000_000_000


@dataclass(frozen=True)
class Scenario:
    """A kind of day. The budgets are small for the calls, so that every run spends them to the end."""

    name: str
    replicas: int
    calls_per_s: float
    calls_at_once_max: int
    """Calls that reach one replica in the same instant: what they want becomes one batch."""
    duration_s: float
    limit_nanos: int
    """Of each team's day."""
    upstream_s_max: float
    """How long Cohere takes at most; much of a small budget is held meanwhile."""
    teams: int = 1
    goes_over_midnight: bool = False
    crashes_per_s: float = 0.0
    """Of one replica."""
    pauses_per_s: float = 0.0
    """Of one replica: it stands still for half a second to half a minute."""
    deploys_per_s: float = 0.0
    """Of one replica: it stops in good order, and another one begins."""
    struck: float = 0.0
    """The share of messages after which the sender crashes or stands still at once."""
    lost: float = 0.0
    """The share of transactions that lose a message: a statement, the COMMIT or its answer."""
    lost_upstream: float = 0.0
    """The share of requests to Cohere that lose a message: the request, or its answer."""
    outages: tuple[tuple[float, float], ...] = ()
    """When the database goes away, and for how long, in seconds. It may come back with another time."""
    skew_s: float = 0.0
    """How far a replica's clock is from the database's at most."""
    operators: bool = False
    """Someone freezes teams and adjusts budgets."""

    @property
    def is_faultless(self) -> bool:
        """Nothing goes wrong but what callers and Cohere do."""
        return not self.lost


CALM = Scenario(
    "calm",
    replicas=200,
    calls_per_s=60,
    calls_at_once_max=1,
    duration_s=24,
    limit_nanos=5 * DOLLAR_NANOS,
    upstream_s_max=1.5,
)
BURST = Scenario(
    "burst",
    replicas=50,
    calls_per_s=400,
    calls_at_once_max=40,
    duration_s=5,
    limit_nanos=2 * DOLLAR_NANOS,
    upstream_s_max=0.4,
)
CHAOS = Scenario(
    "chaos",
    replicas=200,
    calls_per_s=60,
    calls_at_once_max=6,
    duration_s=60,
    limit_nanos=2 * DOLLAR_NANOS,
    upstream_s_max=2.0,
    teams=2,
    goes_over_midnight=True,
    crashes_per_s=0.001,
    pauses_per_s=0.004,
    deploys_per_s=0.002,
    struck=0.0005,
    lost=0.02,
    lost_upstream=0.002,
    outages=((12.0, 10.0), (45.0, 5.0)),
    skew_s=600.0,
    operators=True,
)
SCENARIOS = {scenario.name: scenario for scenario in (CALM, BURST, CHAOS)}

MIDNIGHTS = (
    ("UTC", "2026-06-01"),
    ("Europe/Berlin", "2026-03-29"),  # begins a day of 23 hours
    ("Europe/Berlin", "2026-03-30"),  # ends it
    ("Europe/Berlin", "2026-10-25"),  # 25
    ("Europe/Berlin", "2026-10-26"),
    ("America/Havana", "2026-03-08"),  # the clock skips from midnight to one
    ("America/Havana", "2026-11-01"),  # and goes back from one to midnight
    ("Asia/Beirut", "2026-10-25"),  # the clock goes back from midnight to eleven
    ("Australia/Lord_Howe", "2026-04-05"),  # by half an hour
    ("Asia/Kathmandu", "2026-01-01"),  # a quarter hour beside the others
    ("Pacific/Kiritimati", "2026-12-31"),  # UTC+14
    ("Pacific/Pago_Pago", "2026-12-31"),  # UTC-11
)
"""Which midnight a run goes over, in whose zone."""
