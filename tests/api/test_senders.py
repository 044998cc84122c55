"""Senders: addresses as limits count them."""

import pytest

from experiment_pipeline.api.senders import UNKNOWN, Proxies, sender_of


@pytest.mark.parametrize(
    ("host", "sender"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", UNKNOWN),
        ("whatever a proxy wrote", UNKNOWN),
    ],
)
def test_sender_of__address__is_what_one_subscriber_has(host: str, sender: str) -> None:
    assert sender_of(host) == sender


def test_proxies__listed_addresses_and_networks__are_known() -> None:
    proxies = Proxies("10.0.0.7, 192.168.0.0/16, ::1")
    for host, listed in (("10.0.0.7", True), ("192.168.3.4", True), ("::1", True), ("10.0.0.8", False), ("x", False)):
        assert proxies.has(host) is listed
    assert not Proxies("none").has("127.0.0.1")
