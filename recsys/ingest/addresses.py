"""Which addresses may be connected to: http and https, and none of a private network unless it was allowed.

    parse             a URL of the catalogue, or a redirect's target → an address
    require_public    a host → the IP addresses that it may be connected at

A catalogue's URLs are hostile input: one that points to 127.0.0.1, to the metadata service of a cloud, or to a name
that resolves there would have this machine ask its own network. The addresses that were checked are the ones
connected to, so a name that resolves differently a moment later (DNS rebinding) gains nothing.

What `images.allow_hosts` may list: a host (`images.local`), a host and port (`127.0.0.1:8765`), which allow a URL
that names just that, or a network (`10.0.0.0/8`), which allows every name that resolves into it.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

from recsys.ingest.causes import fetch_error

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NAT64 = ip_network("64:ff9b::/96")
"""IPv6 addresses that a gateway turns into the IPv4 address in their last 32 bits (RFC 6052)."""


def parse(url: str, base: URL | None = None) -> URL:
    """Return a URL, or a redirect's target relative to `base`, as an address without its fragment.

    Raises:
        PermanentFetchError: `bad_url`, it is not a complete http or https address; `credentials`, it holds a user name
            or a password, which would end in ledgers and logs.
    """
    try:
        address = URL(url.strip())
        address = (base.join(address) if base else address).with_fragment(None)
        complete = address.scheme in ("http", "https") and address.host and address.port
    except ValueError:
        complete = False
    if not complete:
        raise fetch_error("bad_url", f"{url[:200]!r} is not a complete http or https address")
    if address.raw_user or address.raw_password:
        raise fetch_error("credentials", "the address holds a user name or a password")
    return address


def require_public(host: str, port: int, allowed: Sequence[str] = ()) -> list[str]:
    """Return the IP addresses of a host that may be connected to, IPv4 and IPv6.

    Args:
        host: a name or an IP address, without brackets.
        port: that is to be connected to.
        allowed: exceptions, as `images.allow_hosts`.

    Raises:
        PermanentFetchError: `private_address`, all of its addresses are private, loopback or link-local.
        TransientFetchError: `dns`, the name does not resolve.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise fetch_error("dns", f"the host's name does not resolve: {error}") from error
    return checked(host, port, list(dict.fromkeys(str(entry[4][0]) for entry in found)), allowed)


def checked(host: str, port: int, addresses: Sequence[str], allowed: Sequence[str] = ()) -> list[str]:
    """Return those of a host's IP addresses that may be connected to. Arguments and errors as `require_public`."""
    names, networks = _exceptions(tuple(allowed))
    host = host.lower().rstrip(".")
    if names & {host, f"{host}:{port}", f"[{host}]:{port}"}:
        return list(addresses)
    good = [a for a in addresses if is_public(ip_address(a)) or any(ip_address(a) in network for network in networks)]
    if not good:
        raise fetch_error(
            "private_address", f"{host} is at {', '.join(addresses)}, which is not public; see images.allow_hosts"
        )
    return good


def without_credentials(url: str) -> str:
    """Return an address as it may be shown: without the user name and password that it may hold."""
    return re.sub(r"//[^/\s]*@", "//", url)


def is_public(address: Address) -> bool:
    """Return whether an IP address is one of the public internet, also behind the ways to write IPv4 in IPv6."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast


@lru_cache(maxsize=1024)
def literal(host: str) -> Address | None:
    """Return the IP address that a host is written as; None for a name."""
    if not host[-1:].isdigit() and ":" not in host:
        return None
    try:
        return ip_address(host)
    except ValueError:
        return None


@lru_cache(maxsize=16)
def _exceptions(allowed: tuple[str, ...]) -> tuple[set[str], list[Network]]:
    """Return the names (with or without a port) and the networks among the exceptions."""
    names, networks = set(), []
    for entry in allowed:
        if "/" in entry:
            networks.append(ip_network(entry, strict=False))
        else:
            names.add(entry.lower().rstrip("."))
    return names, networks
