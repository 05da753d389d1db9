"""What Cohere may count, by brute force: the most in any minute, wherever it begins."""

from collections.abc import Iterable


def most_in_a_minute(sent: Iterable[tuple[int, int]], minute_us: int = 60_000_000) -> int:
    """The largest sum of amounts within any minute, of (time in µs, amount)."""
    ordered = sorted(sent)
    most = held = first = 0
    for at_us, amount in ordered:
        held += amount
        while ordered[first][0] <= at_us - minute_us:
            held -= ordered[first][1]
            first += 1
        most = max(most, held)
    return most
