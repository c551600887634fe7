"""The marketplace for the tests of scraping."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from tests.recsys.ingest.scraping.market import Handler, Marketplace, serving


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Iterator[Marketplace]:
    """A marketplace with empty pages and without robots.txt, until a test sets them."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        yield from serving(server, "http")
