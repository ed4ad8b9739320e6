"""Whose address counts: that of the connection, or of whom a proxy of ours speaks for; never what a client claims."""

import pytest

from orders.addresses import client_address, is_inside, parse_networks

PROXIES = parse_networks("10.0.0.0/8, 2001:db8::/32, 192.0.2.7")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        # Nothing was passed on.
        ("203.0.113.5", "", "203.0.113.5"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "  ", "10.0.0.1"),
        # Not by a proxy of ours.
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),
        (None, "198.51.100.1", None),
        ("", "198.51.100.1", ""),
        ("unix:", "198.51.100.1", "unix:"),
        # By one, by two.
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 192.0.2.7", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 192.0.2.8", "192.0.2.8"),
        ("2001:db8::1", "2001:db9::5", "2001:db9::5"),
        # What the client wrote itself is to the left.
        ("10.0.0.1", "127.0.0.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "10.9.9.9, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        # From inside.
        ("10.0.0.1", "10.0.0.9, 10.0.0.2", "10.0.0.9"),
        # With ports, with brackets.
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db9::5]:4711", "2001:db9::5"),
        ("10.0.0.1", "[2001:db9::5]", "2001:db9::5"),
        # Nobody knows who that is, hence nobody that a list could let in.
        ("10.0.0.1", "unknown", None),
        ("10.0.0.1", "127.0.0.1, _hidden", None),
        ("10.0.0.1", "127.0.0.1,", None),
    ],
)
def test_who_asks(peer, forwarded_for, expected):
    assert client_address(peer, forwarded_for, PROXIES) == expected


def test_without_proxies_of_ours_nobody_is_believed():
    assert client_address("127.0.0.1", "198.51.100.1", ()) == "127.0.0.1"


def test_inside():
    assert is_inside("10.1.2.3", PROXIES) and is_inside("::ffff:10.1.2.3", PROXIES)
    assert not is_inside(None, PROXIES) and not is_inside("x", PROXIES) and not is_inside("11.0.0.1", PROXIES)
