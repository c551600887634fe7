"""How a marketplace is asked for a page: patiently, within limits, and nobody else in its place.

    open_session   the connections that searches share
    get_page       an address → the body of a good answer

What a marketplace answers is hostile input, its redirects too: they may lead back to the host and port of
`scraping.url`, which the operator chose, or to a public address, never into the network of this machine.
"""

from __future__ import annotations

import socket
import time
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, SSLError, TimeoutError

from recsys.core.configuration import Scraping
from recsys.core.errors import FetchError, PermanentFetchError, TransientFetchError
from recsys.ingest.addresses import require_public
from recsys.ingest.causes import fetch_error
from recsys.ingest.scraping.pages import complete_address, is_blocked

CHUNK = 1 << 16  # bytes


def open_session(settings: Scraping) -> requests.Session:
    """Return connections that are kept alive, say who we are, and ask again where a fault may pass."""
    session = _Session()
    session.headers.update({"User-Agent": settings.user_agent, "Accept": "text/html", "Accept-Encoding": "identity"})
    retry = _Retry(
        total=settings.retries,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
        backoff_factor=settings.backoff_s,
        backoff_jitter=settings.backoff_s,
        retry_after_max=round(settings.wait_max_s),
    )
    marketplace = urlsplit(settings.url)
    session.mount(f"{marketplace.scheme}://{marketplace.netloc}/", HTTPAdapter(max_retries=retry))
    for scheme in ("http://", "https://"):  # all else: requests takes the adapter with the longest prefix
        session.mount(scheme, _PublicAdapter(max_retries=retry))
    return session


def get_page(session: requests.Session, url: str, settings: Scraping, redirects: int = 0) -> bytes:
    """Return the body of a good answer, raise what any other means.

    Args:
        session: of `open_session`.
        url: complete.
        settings: its limits and time-outs.
        redirects: to follow at most; a result page's are not, since robots.txt was asked about its address only.

    Raises:
        TransientFetchError: `blocked` by a robot check, `timeout`, `http_503`, ...
        PermanentFetchError: `http_404`, `too_large`, `private_address` where a redirect leads into a private network.
    """
    try:
        with session.get(url, stream=True, allow_redirects=False, timeout=settings.timeout_s) as response:
            body = _body(response, url, settings)
    except (requests.RequestException, HTTPError) as error:
        raise _failure(error, url) from error
    code, target = response.status_code, response.headers.get("Location", "")
    if is_blocked(body) or "captcha" in target.partition("?")[0].lower():
        raise TransientFetchError("blocked", f"{url} answers with a robot check; wait, or ask for less", code)
    if redirects and response.is_redirect and (moved := complete_address(target, url)):
        return get_page(session, moved, settings, redirects - 1)
    if not 200 <= code < 300:
        hint = f" and points to {target[:200]}; set scraping.url to where the results are" if target else ""
        raise fetch_error(f"http_{code}", f"{url} answers {code}{hint}", code)
    return body


class _Session(requests.Session):
    """Leaves redirects to `get_page`; requests would read a redirect's body to its end, also where it follows none."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class _Retry(Retry):
    """Hangs up on an answer before it asks again; urllib3 would first read it to its end, which may never come."""

    def increment(self, *args: Any, **kwargs: Any) -> Retry:  # type: ignore[override]
        following = super().increment(*args, **kwargs)
        if (response := kwargs.get("response")) is not None:
            response.close()
        return following


class _PublicConnection(HTTPConnection):
    """Connects to a public address of its host only, and to the very one that was checked (no DNS rebinding)."""

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        try:
            addresses = require_public(self.host.strip("[]"), self.port)
        except PermanentFetchError as error:
            message = f"{self.host}:{self.port} is not public; only scraping.url's own host may be elsewhere"
            raise PermanentFetchError(error.cause, message) from error
        except TransientFetchError as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from error
        failure: NewConnectionError | None = None
        for address in addresses:
            self._dns_host = address  # only for the socket: Host header and certificate go by the name
            try:
                return super()._new_conn()
            except NewConnectionError as error:
                failure = error
            finally:
                self._dns_host = name
        raise failure or NewConnectionError(self, "the host has no address")


class _PublicTlsConnection(_PublicConnection, HTTPSConnection):
    """The same over TLS."""


class _PublicPool(HTTPConnectionPool):
    ConnectionCls = _PublicConnection


class _PublicTlsPool(HTTPSConnectionPool):
    ConnectionCls = _PublicTlsConnection


class _PublicAdapter(HTTPAdapter):
    """Asks hosts at public addresses only, and no proxy, which would resolve a name anew, past the check."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PublicPool, "https": _PublicTlsPool}

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        return super().send(*args, **(kwargs | {"proxies": None}))


def _body(response: requests.Response, url: str, settings: Scraping) -> bytes:
    body, deadline = bytearray(), time.monotonic() + settings.timeout_s
    while chunk := response.raw.read1(CHUNK, decode_content=True):  # what is there, without waiting for a whole chunk
        body += chunk
        if len(body) > settings.max_bytes:
            raise fetch_error("too_large", f"{url} has more than scraping.max_bytes ({settings.max_bytes} bytes)")
        if time.monotonic() > deadline:
            raise fetch_error("timeout", f"{url} is not complete after {settings.timeout_s:g} s")
    return bytes(body)


def _failure(error: Exception, url: str) -> FetchError:
    """Return what an error of the connection means."""
    reason = getattr(error.args[0] if error.args else None, "reason", error)  # of urllib3, in the error of requests
    match reason:  # urllib3 counts the first two among its time-outs
        case NameResolutionError():
            return fetch_error("dns", f"{url}: the host's name does not resolve")
        case NewConnectionError():
            return fetch_error("refused", f"{url}: the host takes no connection")
        case requests.Timeout() | TimeoutError():
            return fetch_error("timeout", f"{url} does not answer in time")
        case SSLError() | requests.exceptions.SSLError():
            return fetch_error("tls", f"{url}: no valid certificate")
        case requests.exceptions.InvalidSchema() | requests.exceptions.InvalidURL():
            return fetch_error("bad_url", f"{url[:200]} is not a complete http or https address")
        case _:
            return fetch_error("reset", f"{url}: the connection broke off")
