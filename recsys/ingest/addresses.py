"""Address checks: http and https only, and no private network unless it is allowed.

    parse             a URL of the catalogue, or a redirect's target → an address
    require_public    a host → the IP addresses that may be connected to

A catalogue's URLs are hostile input: a URL with 127.0.0.1, with the metadata service of a cloud, or with a name that
resolves to these would make this machine send requests into its own network. Callers connect to the addresses that were
checked, so a name that resolves differently a moment later (DNS rebinding) gains nothing.

Entries of `images.allow_hosts`: a host (`images.local`) or a host and port (`127.0.0.1:8765`), which allow exactly this
host in a URL, or a network (`10.0.0.0/8`), which allows every name that resolves into it.
"""

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
"""IPv6 addresses that a gateway translates to the IPv4 address in their last 32 bits (RFC 6052)."""


def parse(url: str, base: URL | None = None) -> URL:
    """Return a URL, or a redirect's target relative to `base`, as an address without its fragment.

    Raises:
        PermanentFetchError: `bad_url`, it is not a complete http or https address; `credentials`, it contains a user
            name or a password, which would end up in ledgers and logs.
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
        raise fetch_error("credentials", "the address contains a user name or a password")
    return address


def require_public(host: str, port: int, allowed: Sequence[str] = ()) -> list[str]:
    """Return the IP addresses of a host that a connection is allowed to, IPv4 and IPv6.

    Args:
        host: a name or an IP address, without brackets.
        port: the port of the connection.
        allowed: exceptions, as `images.allow_hosts`.

    Raises:
        PermanentFetchError: `private_address`, all of its addresses are private, loopback or link-local.
        TransientFetchError: `dns`, the name does not resolve.
    """
    try:
        results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise fetch_error("dns", f"the host's name does not resolve: {error}") from error
    return checked(host, port, list(dict.fromkeys(str(result[4][0]) for result in results)), allowed)


def checked(host: str, port: int, addresses: Sequence[str], allowed: Sequence[str] = ()) -> list[str]:
    """Return the IP addresses of a host that are public or allowed. Arguments and errors as `require_public`."""
    names, networks = _exceptions(tuple(allowed))
    host = host.lower().rstrip(".")
    if names & {host, f"{host}:{port}", f"[{host}]:{port}"}:
        return list(addresses)
    public = [a for a in addresses if is_public(ip_address(a)) or any(ip_address(a) in network for network in networks)]
    if not public:
        raise fetch_error(
            "private_address",
            f"{host} has the address {', '.join(addresses)}, which is not public; see images.allow_hosts",
        )
    return public


def without_credentials(url: str) -> str:
    """Return a URL without user name and password, to show it."""
    return re.sub(r"//[^/\s]*@", "//", url)


def is_public(address: Address) -> bool:
    """Return whether an IP address is on the public internet, also an IPv4 address written as IPv6."""
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
    """Return the IP address when a host is written as one; None for a name."""
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
