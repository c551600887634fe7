"""The marketplace that this room's tests ask."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from tests.recsys.ingest.scraping.market import Handler, Marketplace, serving


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Iterator[Marketplace]:
    """A marketplace with nothing on its pages and no robots.txt, until a test gives it some."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        yield from serving(server, "http")
