"""Which addresses may be connected to: none of a private network, however it is written, unless it was allowed."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from recsys.core.configuration import load
from recsys.core.errors import ConfigurationError, FetchError
from recsys.ingest.addresses import checked, is_public, parse, require_public, without_credentials


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_the_public_internet_is_public(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.9.10", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
     "224.0.0.1", "255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1",
     "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1"],
)  # fmt: skip
def test_nothing_else_is(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "::1", "169.254.169.254", "0.0.0.0"]
)
def test_a_private_host_is_refused_in_whatever_way_it_is_written(host):
    with pytest.raises(FetchError) as caught:
        require_public(host, 80)
    assert caught.value.cause == "private_address"


def test_a_name_keeps_only_its_public_addresses():
    assert checked("shop.example", 80, ["127.0.0.1", "8.8.8.8", "10.0.0.1"]) == ["8.8.8.8"]


@pytest.mark.parametrize(
    ("allowed", "may"),
    [
        (["127.0.0.1"], True),
        (["127.0.0.1:8765"], True),
        (["127.0.0.1:8000"], False),
        (["127.0.0.0/8"], True),
        (["10.0.0.0/8"], False),
        (["localhost"], False),
    ],
)
def test_what_is_allowed_is_a_host_a_port_of_it_or_a_network(allowed, may):
    if may:
        assert checked("127.0.0.1", 8765, ["127.0.0.1"], allowed) == ["127.0.0.1"]
    else:
        with pytest.raises(FetchError):
            checked("127.0.0.1", 8765, ["127.0.0.1"], allowed)


def test_an_allowed_host_does_not_allow_a_name_that_resolves_to_it():
    with pytest.raises(FetchError):
        checked("evil.example", 80, ["127.0.0.1"], ["127.0.0.1"])
    assert checked("Images.Local.", 80, ["10.0.0.7"], ["images.local"]) == ["10.0.0.7"]


def test_a_name_that_does_not_resolve_may_do_so_later(monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(FetchError) as caught:
        require_public("no-such-shop.example", 80)
    assert caught.value.cause == "dns"


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://user:secret@shop.example/a.jpg", "credentials"),
        ("http://user@shop.example/a.jpg", "credentials"),
        ("gopher://shop.example/a.jpg", "bad_url"),
        ("file:///etc/passwd", "bad_url"),
        ("javascript:alert(1)", "bad_url"),
        ("shop.example/a.jpg", "bad_url"),
    ],
)
def test_an_address_is_http_and_holds_no_credentials(url, cause):
    with pytest.raises(FetchError) as caught:
        parse(url)
    assert caught.value.cause == cause
    assert "secret" not in str(caught.value)


def test_a_redirects_target_is_completed_by_its_base_and_checked_alike():
    base = parse("https://shop.example/images/a.jpg#top")
    assert str(parse("../b.jpg", base)) == "https://shop.example/b.jpg"
    with pytest.raises(FetchError):
        parse("//user:secret@other.example/", base)


def test_an_address_is_shown_without_its_credentials():
    assert without_credentials("https://user:secret@shop.example/a@b.jpg") == "https://shop.example/a@b.jpg"


@pytest.mark.parametrize("entry", ["", "a b", "10.0.0.0/64", "user@host", "shop/images"])
def test_an_impossible_exception_is_a_configuration_error(entry):
    with pytest.raises(ConfigurationError, match="allow_hosts"):
        load(flags={"images": {"allow_hosts": [entry]}}, environ={})
