"""Which addresses our own fetches may go to: never where only this machine or its network should reach.

Whoever can choose a name's address, by DNS or by an issuer's metadata, would otherwise have this service ask the
cloud's metadata server or a neighbour's administration port in its place (SSRF).
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_INTERNAL_V4 = tuple(
    map(IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
)
_INTERNAL_V6 = tuple(map(IPv6Network, ("::1/128", "fc00::/7")))
_NEVER_V4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4", "240.0.0.0/4")))
_GLOBAL_V6 = IPv6Network("2000::/3")
# Protocols of their own, of which Teredo holds an IPv4 address in a spelling of its own; and documentation.
_NEVER_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_NAT64 = IPv6Network("64:ff9b::/96")


def may_be_asked(address: str, *, private: bool) -> bool:
    """Tells whether a fetch may go to an address.

    Link-local addresses, of which one is the cloud's metadata server, are never asked; nor is what is no address of
    one machine.

    Args:
        address: An IP address, without brackets.
        private: Whether private addresses and this machine's own may be asked as well.
    """
    try:
        ip = _meant(ip_address(address))
    except ValueError:  # a name, or an address in a spelling that other programs read otherwise
        return False
    if isinstance(ip, IPv4Address):
        if any(ip in network for network in _INTERNAL_V4):
            return private
        return ip.is_global and not any(ip in network for network in _NEVER_V4)
    if any(ip in network for network in _INTERNAL_V6):
        return private
    return ip in _GLOBAL_V6 and not any(ip in network for network in _NEVER_V6)


def _meant(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address leads to, if it is one of those."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
