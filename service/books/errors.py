"""What the books refuse, and why they cannot answer; each carries the numbers behind it, as nano-USD and µs.

BooksError
├── BudgetSpent, BudgetInFlight     the budget's day does not cover the hold
├── HoldExceedsLimit                no day ever does
├── ModelNotPriced, TeamFrozen
├── BooksUnavailable                the database
└── TeamUnknown, AdjustmentBelowZero, RequestIdReused, CredentialUnknown, CredentialNotActive, RotationUnderWay
                                    what operators ask for
"""

from dataclasses import dataclass


class BooksError(Exception):
    """Something that the books refuse or fail to do."""


@dataclass(eq=False)
class BudgetShort(BooksError):
    """The hold is more than what is available now; see the two kinds.

    Attributes:
        budget_id: Whose budget.
        limit_nanos: What the day may cost.
        spent_nanos: What it has cost, with adjustments, and with forfeited attempts at their hold.
        held_nanos: What attempts under way hold.
        hold_nanos: What the attempt could cost.
        resets_at_us: When the next day begins, µs since the epoch.
    """

    budget_id: str
    limit_nanos: int
    spent_nanos: int
    held_nanos: int
    hold_nanos: int
    resets_at_us: int

    @property
    def available_nanos(self) -> int:
        """What is left, never below 0."""
        return max(0, self.limit_nanos - self.spent_nanos - self.held_nanos)


class BudgetSpent(BudgetShort):
    """It would not fit if every attempt under way cost nothing."""


class BudgetInFlight(BudgetShort):
    """It could fit once attempts under way have settled."""


@dataclass(eq=False)
class HoldExceedsLimit(BooksError):
    """The attempt could cost more than a whole day's limit."""

    budget_id: str
    limit_nanos: int
    hold_nanos: int


@dataclass(eq=False)
class ModelNotPriced(BooksError):
    """The price book has no price for the model."""

    budget_id: str
    model: str
    price_version: str


@dataclass(eq=False)
class TeamFrozen(BooksError):
    """An operator has frozen the team."""

    budget_id: str


@dataclass(eq=False)
class BooksUnavailable(BooksError):
    """The database cannot be written or read.

    Attributes:
        why: For the log; it may name hosts and files, and is not for callers.
        budget_id: Whose call it was, "" if none.
        retry_after_s: How long to wait at least, in seconds.
    """

    why: str
    budget_id: str = ""
    retry_after_s: float = 1.0


@dataclass(eq=False)
class TeamUnknown(BooksError):
    """No team has this name."""

    team: str


@dataclass(eq=False)
class AdjustmentBelowZero(BooksError):
    """More would be given back than the day has spent.

    Attributes:
        budget_id: Whose budget.
        amount_nanos: The adjustment, below 0.
        spent_nanos: What the day has cost, as in `BudgetShort`.
        held_nanos: What attempts under way hold.
    """

    budget_id: str
    amount_nanos: int
    spent_nanos: int
    held_nanos: int


@dataclass(eq=False)
class RequestIdReused(BooksError):
    """The request id belongs to another request, or to one whose answer is not given again any more."""

    request_id: str


@dataclass(eq=False)
class CredentialUnknown(BooksError):
    """No access key, or no service account, has this id."""

    id: str


@dataclass(eq=False)
class CredentialNotActive(BooksError):
    """An access key that gives no access, or will not for long, cannot be replaced.

    Attributes:
        id: Which.
        state: REPLACED, EXPIRED or REVOKED; FORGED if its row is not as it was sealed.
    """

    id: str
    state: str


@dataclass(eq=False)
class RotationUnderWay(BooksError):
    """Somebody else has asked for a rotation of the team's Cohere key, which is not over yet."""

    team: str
    rotation_id: str
