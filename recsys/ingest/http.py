"""HTTP for pages and catalogues, with requests. Images have a client of their own (`recsys.ingest.images.client`).

    open_session       a session that retries, and connects to a trusted host and to public addresses
    get                a URL → the answer, with redirects followed and checked
    connection_error   an exception of a request → FetchError

The operator chose the trusted host: that of `scraping.url`, or of the catalogue's URL. It may have a private address.
What it answers is hostile input, its redirects too: every other host is connected to at a public address only, and at
the very address that was checked.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import NameResolutionError, NewConnectionError, SSLError, TimeoutError

from recsys.core.errors import FetchError, PermanentFetchError
from recsys.ingest.addresses import require_public
from recsys.ingest.causes import fetch_error

RETRY_STATUSES = (429, 500, 502, 503, 504)
PORTS = {"http": 80, "https": 443}


def open_session(
    trusted_url: str,
    *,
    retries: int,
    backoff_s: float,
    retry_after_max_s: float,
    headers: Mapping[str, str] | None = None,
) -> requests.Session:
    """Return a session that keeps connections alive and retries failures that may pass.

    Args:
        trusted_url: a URL whose host and port may have a private address, and may be reached through a proxy.
        retries: after the first request, for failed connections and for answers 429, 500, 502, 503 and 504.
        backoff_s: seconds before the second retry, doubled before each further one, with jitter.
        retry_after_max_s: limit of a server's Retry-After, seconds.
        headers: of each request.
    """
    session = _Session()
    session.headers.update(headers or {})
    retry = _Retry(
        total=retries,
        status_forcelist=RETRY_STATUSES,
        raise_on_status=False,
        backoff_factor=backoff_s,
        backoff_jitter=backoff_s,
        retry_after_max=round(retry_after_max_s),
    )
    for scheme in PORTS:
        session.mount(f"{scheme}://", _PublicAdapter(max_retries=retry))
    trusted = urlsplit(requests.Request("GET", trusted_url).prepare().url or "")
    for netloc in {trusted.netloc, trusted.netloc.rpartition("@")[2]}:  # requests takes the longest prefix
        session.mount(f"{trusted.scheme}://{netloc}/", HTTPAdapter(max_retries=retry))
    return session


@contextlib.contextmanager
def get(session: requests.Session, url: str, timeout_s: float, max_redirects: int) -> Iterator[requests.Response]:
    """Yield the answer of a URL, its body not read yet, after at most so many redirects.

    Args:
        session: of `open_session`, which checks the address of each redirect.
        url: a complete http or https URL.
        timeout_s: seconds for a connection, and between two pieces of an answer.
        max_redirects: redirects to follow; a further one is yielded as it is.

    Raises:
        PermanentFetchError: `private_address`, a redirect leads into a private network; `bad_url`, or to no http URL.
        requests.RequestException: the connection failed.
    """
    for _ in range(max_redirects):
        with session.get(url, stream=True, allow_redirects=False, timeout=timeout_s) as response:
            if not response.is_redirect:
                yield response
                return
            url = _redirect_target(url, response.headers["Location"])
    with session.get(url, stream=True, allow_redirects=False, timeout=timeout_s) as response:
        yield response


def connection_error(error: Exception, url: str) -> FetchError:
    """Return the meaning of an exception of requests or urllib3."""
    reason = getattr(error.args[0] if error.args else None, "reason", error)  # of urllib3, inside that of requests
    match reason:  # urllib3 counts the first two among its time-outs
        case NameResolutionError():
            return fetch_error("dns", f"{url}: the host's name does not resolve")
        case NewConnectionError():
            return fetch_error("refused", f"{url}: the host refuses the connection")
        case requests.Timeout() | TimeoutError():
            return fetch_error("timeout", f"{url} does not answer in time")
        case SSLError() | requests.exceptions.SSLError():
            return fetch_error("tls", f"{url}: no valid certificate")
        case requests.exceptions.InvalidSchema() | requests.exceptions.InvalidURL():
            return fetch_error("bad_url", f"{url[:200]} is not a complete http or https address")
        case _:
            return fetch_error("reset", f"{url}: the connection broke")


def _redirect_target(url: str, location: str) -> str:
    """Return the URL that a redirect leads to; credentials of the first URL are for its own host only."""
    base = urlsplit(url)
    try:
        target = urlsplit(urljoin(url, location))
        is_http = target.scheme in PORTS and bool(target.hostname)
    except ValueError:
        is_http = False
    if not is_http:
        raise fetch_error("bad_url", f"it redirects to {location[:200]!r}, which is not an http or https address")
    if (target.scheme, target.netloc) == (base.scheme, base.netloc.rpartition("@")[2]):
        target = target._replace(netloc=base.netloc)
    return target.geturl()


class _Session(requests.Session):
    """Leaves redirects to the caller; requests would read the body of a redirect to its end even if it follows none."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class _Retry(Retry):
    """Closes the connection before a retry; urllib3 would first read the answer to its end, which may never come."""

    def increment(self, *args: Any, **kwargs: Any) -> Retry:  # type: ignore[override]
        following = super().increment(*args, **kwargs)
        if (response := kwargs.get("response")) is not None:
            response.close()
        return following


class _PublicAdapter(HTTPAdapter):
    """Connects to a public address of the host, and to the very address that was checked (no DNS rebinding).

    The URL gets the address; the Host header and the check of the certificate keep the name. No proxy is used: it would
    resolve the name again, after the check.
    """

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        url = urlsplit(request.url or "")
        port = url.port or PORTS[url.scheme]
        try:
            addresses = require_public(str(url.hostname), port)
        except PermanentFetchError as error:
            message = f"{url.hostname}:{port} is not public; a redirect may only lead to a public address"
            raise PermanentFetchError(error.cause, message) from error
        failure: requests.ConnectionError | None = None
        for address in addresses:
            pinned = request.copy()
            pinned.headers["Host"] = url.netloc.rpartition("@")[2]
            pinned.url = url._replace(netloc=f"[{address}]:{port}" if ":" in address else f"{address}:{port}").geturl()
            try:
                return super().send(pinned, *args, **(kwargs | {"proxies": None}))
            except requests.ConnectionError as error:
                failure = error
        raise failure or requests.ConnectionError(f"{url.hostname} has no address")

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        host_params, pool_params = super().build_connection_pool_key_attributes(request, verify, cert)
        if host_params["scheme"] == "https":
            name = urlsplit(f"//{request.headers['Host']}").hostname
            return host_params, {**pool_params, "server_hostname": name, "assert_hostname": name}
        return host_params, pool_params
