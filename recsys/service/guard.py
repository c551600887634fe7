"""The outermost middleware: rate limit, API key, security headers, request id, request log and metrics."""

import hmac
import json
import logging
import time
import uuid
from collections import OrderedDict
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys.core.configuration import Service

PUBLIC_PATHS = frozenset({"/", "/health", "/ready"})
"""Paths that need no API key: probes and browsers have none."""

PAGE_PREFIX = "/page/"
"""Path prefix of the page's files, which need no API key either."""

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
"""Methods that metrics and log name; a client can invent others."""

REQUEST_LOG = "recsys.requests"
"""Name of the logger that gets one line of JSON for each request."""

request_log = logging.getLogger(REQUEST_LOG)


MAX_CLIENTS = 10_000
"""Number of clients whose rate is remembered; the least recent is forgotten first."""


class RateLimiter:
    """A token bucket for each client: `per_second` requests a second, with bursts of twice as many."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._burst = max(1.0, 2 * per_second)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client: (tokens, time of last request)

    def allow(self, client: str, timestamp: float) -> bool:
        """Return whether a client may send a request, and count it.

        Args:
            client: the client's address.
            timestamp: seconds of a monotonic clock.
        """
        tokens, last = self._buckets.pop(client, (self._burst, timestamp))
        tokens = min(self._burst, tokens + (timestamp - last) * self._per_second)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, timestamp)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return allowed

    def __len__(self) -> int:
        """Return the number of clients that are remembered."""
        return len(self._buckets)


SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """The metrics of one service, in a registry of its own, so that a process can have several services."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        common: dict[str, Any] = {"namespace": "recsys", "registry": self.registry}
        self.requests = Counter("requests", "Requests.", ("method", "route", "status"), **common)
        self.seconds = Histogram(
            "request_seconds",
            "Time from a request to its answer, seconds.",
            ("method", "route"),
            buckets=SECONDS_BUCKETS,
            **common,
        )
        self.photos = Gauge("photos_in_work", "Photos in progress or waiting.", **common)
        self.snapshot = Gauge("snapshot", "Number of the current snapshot, from 1.", **common)
        self.products = Gauge("products", "Products that can be recommended.", **common)


class Exchange:
    """One request and the status of its response.

    Attributes:
        started: seconds of a monotonic clock.
        client: the client's address; empty where the server does not know it.
        is_page: whether the request is for the page or one of its files.
        status: 500 until a response starts.
    """

    __slots__ = ("client", "is_page", "path", "request_id", "scope", "started", "status")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.started = time.perf_counter()
        self.request_id = uuid.uuid4().hex
        self.path: str = scope["path"]
        self.client: str = scope["client"][0] if scope.get("client") else ""
        self.is_page = self.path == "/" or self.path.startswith(PAGE_PREFIX)
        self.status = 500

    def wrap(self, send: Send) -> Send:
        """Return a `send` that adds the security headers and stores the status."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = self.request_id
                headers["Content-Security-Policy"] = PAGE_POLICY if self.is_page else API_POLICY
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        return send_with_headers


class Guard:
    """The outermost middleware of the service."""

    def __init__(self, app: ASGIApp, settings: Service, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._key = settings.api_key.get_secret_value().encode() if settings.api_key else None
        self._limiter = RateLimiter(settings.requests_per_second) if settings.requests_per_second else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope)
        respond = self._refusal(exchange) or self._app
        try:
            await respond(scope, receive, exchange.wrap(send))
        finally:
            self._record(exchange)

    def _refusal(self, exchange: Exchange) -> JSONResponse | None:
        """Return the response to a request that is refused; None where the request may pass."""
        if self._limiter is not None and not self._limiter.allow(exchange.client, exchange.started):
            detail = {"detail": "too many requests; send fewer requests per second"}
            return JSONResponse(detail, 429, {"Retry-After": "1"})
        if not self._is_authorised(exchange):
            detail = {"detail": "send the API key of this service in the header X-API-Key"}
            return JSONResponse(detail, 401, {"WWW-Authenticate": "ApiKey"})
        return None

    def _is_authorised(self, exchange: Exchange) -> bool:
        if self._key is None or exchange.path in PUBLIC_PATHS or exchange.is_page:
            return True
        if exchange.scope["method"] == "OPTIONS":  # a browser's preflight has no key; no route answers OPTIONS
            return True
        key = next((value for name, value in exchange.scope["headers"] if name == b"x-api-key"), b"")
        return hmac.compare_digest(key, self._key)

    def _record(self, exchange: Exchange) -> None:
        """Count the request, and log it where the log is enabled."""
        seconds = time.perf_counter() - exchange.started
        scope = exchange.scope
        route = getattr(scope.get("route"), "path", "none")  # never the path, which a client can invent
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(method, route, exchange.status).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        if request_log.isEnabledFor(logging.INFO):
            line = {
                "id": exchange.request_id,
                "client": exchange.client,
                "method": method,
                "route": route,
                "path": exchange.path[:200],
                "status": exchange.status,
                "ms": round(1e3 * seconds, 2),
            }
            request_log.info(json.dumps(line))
