"""What every request goes through: its id, the key, the rate, headers that protect a browser, a log line, metrics."""

from __future__ import annotations

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

OPEN = frozenset({"/", "/health", "/ready"})
"""Asked for without a key: by probes, and by a browser that has none."""
ASSETS = "/page/"

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CLIENTS = 10_000
"""Whose rates are remembered."""

requests_log = logging.getLogger("recsys.requests")


class Metrics:
    """What Prometheus asks for, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        given: dict[str, Any] = {"namespace": "recsys", "registry": self.registry}
        self.requests = Counter("requests", "Requests.", ("method", "route", "status"), **given)
        self.seconds = Histogram(
            *("request_seconds", "From a request to its answer.", ("method", "route")),
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            **given,
        )
        self.photos = Gauge("photos_in_work", "Photos that are being looked at, or wait for it.", **given)
        self.snapshot = Gauge("snapshot", "Number of the snapshot that answers, from 1.", **given)
        self.products = Gauge("products", "Products that can be recommended.", **given)


class Rate:
    """So many requests a second a client, twice as many at once: a token bucket each."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, client: str, now: float) -> bool:
        """Return whether a client may ask once more, at a moment of a clock that only goes forward."""
        most = max(1.0, 2 * self.per_second)
        left, then = self._tokens.pop(client, (most, now))
        left = min(most, left + (now - then) * self.per_second)
        self._tokens[client] = (left - 1 if left >= 1 else left, now)
        if len(self._tokens) > CLIENTS:
            self._tokens.popitem(last=False)
        return left >= 1


class Guard:
    """The outermost part of the service."""

    def __init__(self, app: ASGIApp, settings: Service, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._key = settings.api_key.get_secret_value().encode() if settings.api_key else None
        self._rate = Rate(settings.requests_per_second) if settings.requests_per_second else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id, path = uuid.uuid4().hex, scope["path"]
        paged = path == "/" or path.startswith(ASSETS)
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["Content-Security-Policy"] = PAGE_POLICY if paged else API_POLICY
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        client = scope["client"][0] if scope.get("client") else ""
        try:
            if self._rate is not None and not self._rate.allows(client, began):
                refusal = JSONResponse({"detail": "too many requests; ask more slowly"}, 429, {"Retry-After": "1"})
                await refusal(scope, receive, answer)
            elif self._key is not None and path not in OPEN and not paged and not self._has_key(scope):
                told = {"detail": "send the key of this service as X-API-Key"}
                await JSONResponse(told, 401, {"WWW-Authenticate": "ApiKey"})(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "OPTIONS") else "other"
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.seconds.labels(method, route).observe(seconds)
            if requests_log.isEnabledFor(logging.INFO):
                line = {"id": request_id, "client": client, "method": method, "route": route, "path": path[:200]}
                requests_log.info(json.dumps({**line, "status": status, "ms": round(1e3 * seconds, 2)}))

    def _has_key(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"x-api-key"), b"")
        return self._key is not None and hmac.compare_digest(given, self._key)
