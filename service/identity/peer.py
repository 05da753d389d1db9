"""The client certificate of a call's connection, as far as it was verified by TLS."""

from typing import NamedTuple


class Peer(NamedTuple):
    """Who holds the other end of the connection."""

    spiffe_id: str
    """The one URI in the certificate; empty if there is none, or more than one."""
    certificate: bytes
    """PEM."""
    certificate_hash: str
    """SHA-256 of the DER form, base64url without padding: what `cnf.x5t#S256` says (RFC 8705 section 3.1)."""
