"""Addresses as the config writes them, HOST:PORT, and who can reach them."""

import ipaddress


def host_of(address: str) -> str:
    """The host of `HOST:PORT`, without the brackets of an IPv6 address."""
    return address.rpartition(":")[0].strip("[]")


def is_loopback(host: str) -> bool:
    """Tells whether only this machine reaches the host. A name other than localhost is not trusted to be."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
