"""Numbers as letters and digits, which any system takes for one word."""

import secrets

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base62(number: int, digits: int) -> str:
    """The last *digits* digits of a number."""
    out: list[str] = []
    for _ in range(digits):
        number, rest = divmod(number, 62)
        out.append(DIGITS[rest])
    return "".join(reversed(out))


def random_base62(digits: int) -> str:
    """Digits that nobody can guess: 5.95 bits each."""
    return "".join(secrets.choice(DIGITS) for _ in range(digits))
