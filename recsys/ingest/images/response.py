"""The meaning of an answer and of a failed connection: HTTP errors and headers in the words of the ledger."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from recsys.core.errors import FetchError, TransientFetchError
from recsys.ingest.causes import fetch_error
from recsys.ingest.images.hosts import Host

OPT_OUT = {"noai", "noimageai", "noindex", "noimageindex", "none"}
"""Directives of X-Robots-Tag that forbid our use of a picture."""

MAX_VALIDATOR = 512
"""Longest ETag or Last-Modified that is stored, characters."""


class NoAnswerError(TransientFetchError):
    """The host gave no sign of life: either the URL is dead, or the whole host is down."""

    def __init__(self, host: Host, cause: str, message: str) -> None:
        super().__init__(cause, message)
        self.host = host
        self._times_down = host.times_down - host.is_down

    @property
    def host_went_down(self) -> bool:
        """Whether the whole host was down, at that time or since."""
        return self.host.times_down > self._times_down


def connection_error(error: Exception, host: Host) -> FetchError:
    """Return the meaning of an error that aiohttp raised for a request to a host."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return fetch_error("tls", f"no valid certificate: {error}")
        case aiohttp.ClientConnectorDNSError():
            return NoAnswerError(host, "dns", f"the host's name does not resolve: {error}")
        case aiohttp.ClientConnectorError():
            return NoAnswerError(host, "refused", f"the host accepts no connection: {error}")
        case aiohttp.ConnectionTimeoutError():
            return NoAnswerError(host, "timeout", f"the host does not accept the connection in time: {error}")
        case aiohttp.ClientPayloadError() if "ConnectionResetError" not in str(error):
            return fetch_error("truncated", "the answer is shorter than announced, or damaged", 200)
        case aiohttp.ClientResponseError():
            return fetch_error("bad_answer", f"not valid HTTP: {error.message[:200]}")
        case aiohttp.InvalidURL() | ValueError():
            return fetch_error("bad_url", f"not a complete http or https address: {error}")
        case _:
            return fetch_error("reset", f"the connection broke: {error}")


def retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return the Retry-After of an answer in seconds, given as seconds or as a date; None without a valid one."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def forbids_use(response: aiohttp.ClientResponse, user_agent: str) -> bool:
    """Return whether X-Robots-Tag forbids our use; rules for another robot by name do not count."""
    name_of_ours = user_agent.partition("/")[0].strip().lower()
    for value in response.headers.getall("X-Robots-Tag", []):
        name, colon, directives = value.partition(":")
        name = name.strip().lower()
        if not colon or "," in name or name == "unavailable_after":
            directives = value
        elif name != name_of_ours:
            continue
        if OPT_OUT & {directive.strip().lower() for directive in directives.split(",")}:
            return True
    return False


def validator(response: aiohttp.ClientResponse, header: str) -> str | None:
    """Return the ETag or Last-Modified of an answer; None when it is absent, too long or not printable ASCII."""
    value = response.headers.get(header)
    return value if value and value.isascii() and value.isprintable() and len(value) <= MAX_VALIDATOR else None
