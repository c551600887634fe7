"""The cache of answers about similar products, and the middleware that answers from it before any route runs."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from recsys.service.answers import stored_answer

if TYPE_CHECKING:
    from recsys.service.snapshot import Snapshot
    from recsys.service.snapshot_holder import SnapshotHolder

MAX_ANSWERS = 16_384
"""Number of cached answers, a few kilobytes each."""

SIMILAR_PATH = "/products/{product_id:path}/similar"
"""Path of the route whose answers are cached."""

SIMILAR_ROUTE = SimpleNamespace(path=SIMILAR_PATH)
"""The route that metrics and log name for an answer from the cache."""


class AnswerCache:
    """Encoded answers by snapshot, product and query string. The oldest is dropped first."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[int, str, bytes], bytes] = OrderedDict()

    def get(self, snapshot: Snapshot, product_id: str, query_string: bytes) -> bytes | None:
        """Return a cached answer; None where there is none."""
        return self._answers.get((snapshot.number, product_id, query_string))

    def put(self, snapshot: Snapshot, product_id: str, query_string: bytes, answer: bytes) -> bytes:
        """Store an answer and return it."""
        self._answers[snapshot.number, product_id, query_string] = answer
        while len(self._answers) > MAX_ANSWERS:
            self._answers.popitem(last=False)
        return answer


class CachedAnswers:
    """Middleware that answers GET requests for similar products from the cache and the stored recommendations.

    Most requests are of this kind. Routing and validation would take longer than the rest of such a request.
    """

    def __init__(self, app: ASGIApp, snapshots: SnapshotHolder, cache: AnswerCache) -> None:
        self._app, self._snapshots, self._cache = app, snapshots, cache

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._find(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if answer is None:
            await self._app(scope, receive, send)
        else:
            scope["route"] = SIMILAR_ROUTE
            await Response(answer, media_type="application/json")(scope, receive, send)

    def _find(self, scope: Scope) -> bytes | None:
        path, snapshot = scope["path"], self._snapshots.latest
        if snapshot is None or not (path.startswith("/products/") and path.endswith("/similar")):
            return None
        product_id = path.removeprefix("/products/").removesuffix("/similar")
        query_string = scope["query_string"]
        answer = self._cache.get(snapshot, product_id, query_string)
        if answer is None and not query_string and (row := snapshot.row_of.get(product_id)) is not None:
            answer = stored_answer(snapshot, row)
            if answer is not None:
                self._cache.put(snapshot, product_id, query_string, answer)
        return answer
