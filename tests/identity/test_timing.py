"""How long the check of an access key takes says neither whether its id exists nor how much of its secret is right."""

import hashlib
import hmac
import random
from collections.abc import Callable, Sequence

import pytest

from service.identity import access_keys
from service.identity.access_keys import AccessKeyRecord, AccessKeys
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused
from tests.identity.timing import T_MAX, best, shown, told_apart

PEPPER = b"p" * 32
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_CHARS, SECRET_CHARS = 12, 43
SECRET_AT = len("cohort_test_") + ID_CHARS + 1
CHECKS = 50_000
FEW_CHECKS = 4_000
"""Of each class where a test must be quick; enough to find a check that ends early."""

KNOWN = [access_keys.create("test") for _ in range(16)]
KEYS = AccessKeys(
    "test",
    {"1": PEPPER},
    [
        AccessKeyRecord(
            key_id,
            access_keys.digest_of(access_key, PEPPER),
            "1",
            Principal("search", "indexer", frozenset({"chat"}), "access_key", key_id),
            2e9,
        )
        for key_id, access_key in KNOWN
    ],
)


def refused(access_key: str) -> None:
    try:
        KEYS.principal_of(access_key, 1.0)
    except CredentialRefused:
        return
    raise AssertionError("a key passed that is none")


def summed(body: str) -> str:
    return body + access_keys.checksum_of(body)


def digits(count: int) -> str:
    return "".join(random.choices(BASE62, k=count))


def of_unknown_id() -> str:
    return summed(f"cohort_test_{digits(ID_CHARS)}_{digits(SECRET_CHARS)}")


def of_known_id() -> str:
    return summed(f"cohort_test_{random.choice(KNOWN)[0]}_{digits(SECRET_CHARS)}")


def wrong_at(position: int) -> str:
    """A known key with one character of its secret changed, and a checksum that fits."""
    body = random.choice(KNOWN)[1][: SECRET_AT + SECRET_CHARS]
    at = SECRET_AT + position
    return summed(body[:at] + random.choice(BASE62.replace(body[at], "")) + body[at + 1 :])


def wrong_in_the_first() -> str:
    return wrong_at(0)


def wrong_in_the_last() -> str:
    return wrong_at(SECRET_CHARS - 1)


CLASSES = {
    "unknown id and wrong secret": (of_unknown_id, of_known_id),
    "first and last character of the secret": (wrong_in_the_first, wrong_in_the_last),
}


def drawn(classes: tuple[Callable[[], str], Callable[[], str]], count: int) -> tuple[list[str], list[str]]:
    one, other = ([draw() for _ in range(count)] for draw in classes)
    return one, other


def naive(access_key: str) -> bool:
    """As somebody would write it who keeps keys in clear: by id, then character by character."""
    secret = dict(KNOWN).get(access_key[len("cohort_test_") :][:ID_CHARS])
    return secret is not None and all(a == b for a, b in zip(secret, access_key, strict=True))


def without_decoys(access_key: str) -> None:
    """As the service does it, but that an id that nobody has is refused at once."""
    _, key_id = access_keys.parsed(access_key)
    if key_id in dict(KNOWN):
        refused(access_key)


NAIVE = [*((what, naive) for what in CLASSES), ("unknown id and wrong secret", without_decoys)]


@pytest.mark.prove
@pytest.mark.parametrize("what", CLASSES)
def test_time_tells_nothing_of_a_key(what: str) -> None:
    """The evidence: what differs by some thirty nanoseconds of four thousand is found."""
    runs = told_apart(refused, *drawn(CLASSES[what], CHECKS))
    print(f"\n{shown(f'{what}, 2 x {CHECKS:,} checks', runs)}")

    assert best(runs) < T_MAX


@pytest.mark.prove
@pytest.mark.prove_short
@pytest.mark.parametrize("what", CLASSES)
def test_a_few_checks_tell_nothing_of_a_key(what: str) -> None:
    """No evidence by itself: it finds at every run what is left out for some keys, as the naive checks below do.

    Nanoseconds need the proof above; and that nothing is left out is what the test of each step says.
    """
    assert best(told_apart(refused, *drawn(CLASSES[what], FEW_CHECKS))) < T_MAX


@pytest.mark.prove
@pytest.mark.prove_short
@pytest.mark.parametrize(("what", "check"), NAIVE)
def test_a_comparison_that_ends_early_is_found(what: str, check: Callable[[str], object]) -> None:
    inputs: Sequence[Sequence[str]] = drawn(CLASSES[what], FEW_CHECKS)
    runs = told_apart(check, inputs[0], inputs[1])
    print(f"\n{shown(f'{check.__name__}: {what}, 2 x {FEW_CHECKS:,} checks', runs)}")

    assert best(runs) > T_MAX


class Steps:
    """Notes what a check does with secrets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[tuple[object, ...]] = []
        compare = hmac.compare_digest

        def noting(one: bytes, other: bytes) -> bool:
            self.taken.append(("compared", type(one), len(one), type(other), len(other)))
            return compare(one, other)

        monkeypatch.setattr(hmac, "compare_digest", noting)

    def of(self, keyed: list["Keyed"], access_key: str) -> list[tuple[object, ...]]:
        self.taken, before = [], sum(each.hashed for each in keyed)
        refused(access_key)
        return [("hashed", sum(each.hashed for each in keyed) - before), *self.taken]


class Keyed:
    """An HMAC under a pepper, which counts the characters that it is asked for."""

    def __init__(self, pepper: bytes) -> None:
        self.hashed = 0
        self._keyed = hmac.new(pepper, digestmod=hashlib.sha256)

    def copy(self) -> "Keyed":
        return self

    def update(self, data: bytes) -> None:
        self.hashed += len(data)
        self._fresh = self._keyed.copy()
        self._fresh.update(data)

    def digest(self) -> bytes:
        return self._fresh.digest()


@pytest.mark.parametrize("draw", [of_unknown_id, of_known_id, wrong_in_the_first, wrong_in_the_last])
def test_whatever_is_wrong_the_whole_key_is_hashed_once_and_compared_once_in_constant_time(
    draw: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed = [Keyed(PEPPER)]
    monkeypatch.setattr(KEYS, "_peppers", {"1": keyed[0]})
    steps = Steps(monkeypatch)
    chars = len(KNOWN[0][1])
    for access_key in [draw() for _ in range(50)]:
        assert steps.of(keyed, access_key) == [("hashed", chars), ("compared", bytes, 32, bytes, 32)]


def test_a_key_that_is_right_takes_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expired one too: that it is one is looked at only for whoever has the secret."""
    steps = Steps(monkeypatch)
    for _, access_key in KNOWN:
        KEYS.principal_of(access_key, 1.0)
    with pytest.raises(CredentialRefused, match="expired"):
        KEYS.principal_of(KNOWN[0][1], 3e9)
    assert steps.taken == [("compared", bytes, 32, bytes, 32)] * (len(KNOWN) + 1)
