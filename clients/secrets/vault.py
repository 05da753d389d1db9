"""`vault:PATH#FIELD`: a key in HashiCorp Vault or OpenBao, in a KV engine of version 2, through hvac in threads."""

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import hvac
import hvac.exceptions

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.asking import (
    CONNECT_S_MAX,
    PREVIOUS_LOOKED_AT_MAX,
    READ_S_MAX,
    Problem,
    asked,
    field_of,
    silence,
    unreachable,
    version_of,
)
from clients.secrets.bounded_answers import bounded
from clients.secrets.key_source import Secret
from clients.secrets.reference import Reference
from clients.secrets.threads import Threads
from clients.secrets.vault_login import Lease, Login, LoginRefused, lease_of

THREADS_MAX = 4
Value = TypeVar("Value")


class Vault:
    """One Vault, and our login there; shared by all that is kept there.

    Args:
        address: `https://HOST:PORT`.
        login: How to get a token.
        mount: Where the KV engine is.
        namespace: Of an enterprise's Vault.
        ca_file: PEM of who signed its certificate; absent = the authorities that `requests` knows.
        clock: Seconds, for the age of the token.
    """

    def __init__(
        self,
        address: str,
        login: Login,
        *,
        mount: str,
        namespace: str | None = None,
        ca_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        silence("hvac", "urllib3")
        self.mount = mount
        self._login = login
        self._clock = clock
        self._options = {
            "url": address,
            "token": "",  # not what VAULT_TOKEN or a file in the home says
            "namespace": namespace,
            "cert": (),  # nor a client's certificate that VAULT_CLIENT_CERT names
            "verify": str(ca_file) if ca_file else True,
            "timeout": (CONNECT_S_MAX, READ_S_MAX),
            "allow_redirects": False,  # it would carry the token to another host
        }
        self._client = self._made_client()
        self._threads = Threads("vault", THREADS_MAX)
        self._logging_in = threading.Lock()
        self._renewal_s = -math.inf
        self._renewable = False

    async def ask(self, reference: Reference, question: Callable[[hvac.Client], Value]) -> Value:
        """Asks with a good token.

        Raises:
            SecretMissing: There is nothing.
            SourceUnavailable: Vault cannot be reached, or refuses.
        """
        answer = self._threads.run(lambda: self._asked(question))
        return await asked(reference, answer, lambda error: self._explained(reference, error))

    async def close(self) -> None:
        """Lets go of its connections."""
        self._threads.close()
        self._client.session.close()

    def _made_client(self) -> hvac.Client:
        client = hvac.Client(**self._options)
        client.session.hooks["response"].append(bounded)
        client.session.trust_env = False  # neither a proxy nor what a .netrc says goes along
        return client

    def _asked(self, question: Callable[[hvac.Client], Value]) -> Value:
        token = self._good_token()
        try:
            return question(self._client)
        except hvac.exceptions.Forbidden:
            if self._is_still_good(token):
                raise  # its policy does not allow this
        self._good_token()
        return question(self._client)

    def _good_token(self) -> str:
        with self._logging_in:
            if self._clock() >= self._renewal_s:
                lease = self._renewed() if self._renewable else None
                self._keep(lease or self._logged_in())
            return str(self._client.token)

    def _is_still_good(self, token: str) -> bool:
        """Whether Vault takes the token; if not, and it is the one that we have, another login is due."""
        with self._logging_in:
            if self._client.token != token:
                return False
            try:
                self._client.auth.token.lookup_self()
            except hvac.exceptions.Forbidden:
                self._renewal_s, self._renewable = -math.inf, False
                return False
            return True

    def _keep(self, lease: Lease) -> None:
        self._renewable = lease.renewable
        self._renewal_s = self._clock() + lease.seconds / 2 if lease.seconds else math.inf

    def _logged_in(self) -> Lease:
        client = self._made_client()  # what is under way with the old token is not disturbed
        try:
            lease = self._login(client)
        except hvac.exceptions.InvalidPath:  # it is not the secret that is missing
            raise LoginRefused("no such way in: see secrets.vault.namespace and auth_mount") from None
        finally:
            client.session.close()
        self._client.token = client.token
        return lease

    def _renewed(self) -> Lease | None:
        try:
            return lease_of(self._client.auth.token.renew_self())
        except hvac.exceptions.VaultError:
            return None

    def _explained(self, reference: Reference, error: Exception) -> Problem:
        match error:
            case LoginRefused():
                return SourceUnavailable(f"{reference.text}: the login is refused: {error.advice}")
            case hvac.exceptions.InvalidPath():
                return SecretMissing(f"{reference.text}: Vault has no such secret, or it is deleted")
            case hvac.exceptions.Forbidden():
                advice = f"its policy has to allow `read` of {self.mount}/data/{reference.name}"
                return SourceUnavailable(f"{reference.text}: our login may not read it: {advice}")
            case hvac.exceptions.VaultDown():
                return SourceUnavailable(f"{reference.text}: Vault is sealed or in maintenance")
            case _:
                return unreachable(reference, error)


class VaultKeySource:
    """See `KeySource`."""

    kind = "vault"
    path = None

    def __init__(self, reference: Reference, vault: Vault) -> None:
        self.reference = reference.text
        self._named = reference
        self._vault = vault

    async def read(self) -> Secret:
        """See `KeySource.read`."""
        return await self._vault.ask(self._named, self._current)

    async def read_previous(self) -> Secret | None:
        """See `KeySource.read_previous`."""
        return await self._vault.ask(self._named, self._before)

    def _current(self, client: hvac.Client) -> Secret:
        return self._version(client, None)

    def _before(self, client: hvac.Client) -> Secret | None:
        # By looking, not by the metadata: that needs no more than what reading the current one is allowed.
        newest = int(self._current(client).version)
        for version in range(newest - 1, max(0, newest - 1 - PREVIOUS_LOOKED_AT_MAX), -1):
            try:
                return self._version(client, version)
            except (hvac.exceptions.InvalidPath, SecretMissing):
                continue
        return None

    def _version(self, client: hvac.Client, version: int | None) -> Secret:
        answer = client.secrets.kv.v2.read_secret_version(
            self._named.name, version, mount_point=self._vault.mount, raise_on_deleted_version=True
        )
        data = answer["data"]
        problem = SecretMissing(f"{self.reference}: the secret there has no text of this name")
        return Secret(field_of(self._named, data["data"], problem), version_of(data["metadata"]["version"]))
