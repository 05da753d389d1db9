import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.identity.issuers.addresses import may_be_asked

PUBLIC = (
    "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e",
    "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1",
)  # fmt: skip
INTERNAL = (
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "::1",
    "fc00::1", "fd12:3456:789a::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.1.2.3", "64:ff9b::7f00:1",
    "64:ff9b::192.168.0.1", "2002:7f00:1::1", "2002:a00:1::1",
)  # fmt: skip
NEVER = (
    "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "fe80::1", "fe80::1%eth0",
    "fec0::1", "0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1",
    "240.0.0.1", "255.255.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "192.88.99.1", "2001::1", "2001:0:a9fe:a9fe::1", "2001:db8::1", "3fff::1", "64:ff9b:1::1", "100::1", "::7f00:1",
    "4000::1", "::ffff:0:127.0.0.1",
)  # fmt: skip
NO_ADDRESSES = (
    "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.01", "127.0.0.1.", " 127.0.0.1", "١٢٧.0.0.1",
    "[::1]", "localhost", "", "1.1.1.1/32", "1.1.1.1%eth0",
)  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_asked(address: str) -> None:
    assert may_be_asked(address, private=False)
    assert may_be_asked(address, private=True)


@pytest.mark.parametrize("address", INTERNAL)
def test_an_internal_address_may_be_asked_where_that_is_allowed(address: str) -> None:
    assert not may_be_asked(address, private=False)
    assert may_be_asked(address, private=True)


@pytest.mark.parametrize("address", [*NEVER, *NO_ADDRESSES])
def test_any_other_address_is_never_asked(address: str) -> None:
    assert not may_be_asked(address, private=False)
    assert not may_be_asked(address, private=True)


@given(st.ip_addresses(v=4), st.booleans())
def test_an_ipv4_address_is_the_same_in_every_ipv6_address_that_leads_to_it(
    address: ipaddress.IPv4Address,
    private: bool,  # noqa: FBT001
) -> None:
    number = int(address)
    ways = (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80 | 1)

    assert {may_be_asked(str(ipaddress.IPv6Address(way)), private=private) for way in ways} == {
        may_be_asked(str(address), private=private)
    }


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_public_only_if_python_says_so(address: ipaddress.IPv4Address) -> None:
    assert address.is_global or not may_be_asked(str(address), private=False)


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_is_public_only_if_python_says_so(address: ipaddress.IPv6Address) -> None:
    inner = address.ipv4_mapped or address.sixtofour or address

    if inner is address and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert (address.is_global and not address.is_multicast) or not may_be_asked(str(address), private=False)
