"""How Cohort logs in to a Vault: with a token, as an AppRole, or as its Kubernetes service account."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import hvac
import hvac.exceptions

from clients.secrets.asking import CredentialUnusable, credential_of
from clients.secrets.source import SecretSource, text_of, without_line_end


@dataclass(frozen=True, slots=True)
class Lease:
    """How long a token is good.

    Attributes:
        seconds: From now on; 0 for ever.
        renewable: Whether it can be made to last longer.
    """

    seconds: int
    renewable: bool


class LoginRefused(Exception):
    """Vault does not take what we log in with.

    Attributes:
        advice: What to look at.
    """

    def __init__(self, advice: str) -> None:
        self.advice = advice
        super().__init__(advice)


class Login(Protocol):
    """Gets a token. Implementations MUST read what they log in with anew each time, for it may have been changed."""

    def __call__(self, client: hvac.Client) -> Lease:
        """Logs in, and leaves the token with the client.

        Raises:
            LoginRefused: Vault refuses.
            CredentialUnusable: What we log in with cannot be read.
        """


class TokenLogin:
    """A token that somebody else made."""

    def __init__(self, token: SecretSource) -> None:
        self._token = token

    def __call__(self, client: hvac.Client) -> Lease:
        """See `Login`."""
        client.token = credential_of(self._token.read)
        try:
            data = client.auth.token.lookup_self()["data"]
        except hvac.exceptions.Forbidden:
            raise LoginRefused("the token of secrets.vault.token is not valid, or no longer") from None
        return Lease(int(data["ttl"]), bool(data.get("renewable")))


class AppRoleLogin:
    """The role of an application, proved by its secret id."""

    def __init__(self, role_id: str, secret_id: SecretSource, mount: str) -> None:
        self._role_id = role_id
        self._secret_id = secret_id
        self._mount = mount

    def __call__(self, client: hvac.Client) -> Lease:
        """See `Login`."""
        secret_id = credential_of(self._secret_id.read)
        try:
            answer = client.auth.approle.login(self._role_id, secret_id, mount_point=self._mount)
        except _REFUSALS:
            advice = f"auth/{self._mount} takes no such role id and secret id, or no longer"
            raise LoginRefused(advice) from None
        return lease_of(answer)


class KubernetesLogin:
    """The service account of the pod; Kubernetes writes its JWT anew before it expires."""

    def __init__(self, role: str, jwt_file: Path, mount: str) -> None:
        self._role = role
        self._jwt_file = jwt_file
        self._mount = mount

    def __call__(self, client: hvac.Client) -> Lease:
        """See `Login`."""
        try:
            jwt = without_line_end(text_of(self._jwt_file))
        except OSError as error:
            raise CredentialUnusable(f"secrets.vault.jwt_file: {error.strerror}") from None
        try:
            answer = client.auth.kubernetes.login(self._role, jwt, mount_point=self._mount)
        except _REFUSALS:
            advice = f"auth/{self._mount} does not take this pod's service account for secrets.vault.role"
            raise LoginRefused(advice) from None
        return lease_of(answer)


_REFUSALS = (hvac.exceptions.InvalidRequest, hvac.exceptions.Unauthorized, hvac.exceptions.Forbidden)


def lease_of(answer: dict[str, Any]) -> Lease:
    """What Vault's answer to a login or a renewal says."""
    auth = answer["auth"]
    return Lease(int(auth["lease_duration"]), bool(auth.get("renewable")))
