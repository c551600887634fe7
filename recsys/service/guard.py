"""The outermost middleware: rate limit, API key, security headers, request id, request log and metrics."""

import hmac
import json
import logging
import time
import uuid

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys.core.configuration import Service
from recsys.service.metrics import Metrics
from recsys.service.rate_limit import RateLimiter

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
