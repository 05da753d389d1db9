"""The access token of the stored login, renewed before it expires: what calling commands present."""

import time

from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.token_store import Login, LoginStore

LEFT_MIN_S = 60
"""With less time left than this an access token is renewed, so that it does not expire on the way."""


class LoginBearer:
    """A function that returns the access token and is asked before each call.

    Args:
        store: Where the login is kept.
        login: What `store` holds.
    """

    def __init__(self, store: LoginStore, login: Login) -> None:
        self._store = store
        self._login = login

    def __call__(self) -> str:
        """The access token.

        Raises:
            CommandFailed: It has expired, and there is no other.
        """
        if not is_fresh(self._login):
            self._login = renewed(self._store)
        return self._login.access_token


def is_fresh(login: Login, left_min_s: float = LEFT_MIN_S) -> bool:
    """Whether its access token can be used without being renewed."""
    return login.expires_at_s is None or login.expires_at_s - time.time() >= left_min_s


def renewed(store: LoginStore) -> Login:
    """The login with a fresh access token.

    Raises:
        CommandFailed: It has expired and cannot be renewed. It is kept as it is.
    """
    with store.locked():
        login = store.load()
        if login is None:
            raise CommandFailed("nobody is logged in any more: `cohort login` again", NOT_STARTED)
        if is_fresh(login):  # another command has renewed it meanwhile
            return login
        if login.refresh_token is None:
            if is_fresh(login, 0):
                return login
            raise CommandFailed(f"the login at {login.issuer} has expired: `cohort login` again", NOT_STARTED)
        try:
            # Brought in here, because only a renewal needs it: it would add 0.2 s to every call.
            from service.cli.login_renewal import refreshed  # noqa: PLC0415 (see above)

            login = refreshed(login, login.refresh_token)
        except CommandFailed:
            if is_fresh(login, 0):  # the issuer may be back at the next call
                return login
            raise
        store.save(login)
        return login
