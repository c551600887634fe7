"""The broken links in the report."""

from __future__ import annotations

from recsys.reporting.report_data import gather
from tests.recsys.reporting.conftest import BROKEN, Fill, settings


def test_broken_links_are_counted_by_cause_the_most_frequent_first(fill: Fill) -> None:
    timeout = {"status": "broken", "cause": "timeout"}
    data = gather(fill([{}, {}, timeout, BROKEN, BROKEN]), settings())
    assert [(item.code, item.count) for item in data.broken.causes] == [("http_404", 2), ("timeout", 1)]
    assert data.broken.causes[0].example == "https://shop.example/3.jpeg"
    assert (data.funnel.rows, data.funnel.products, data.funnel.with_image, data.funnel.broken) == (7, 5, 2, 3)


def test_passwords_in_urls_are_not_shown(fill: Fill) -> None:
    data = gather(fill([{}, {**BROKEN, "url": "https://user:secret@shop.example/1.jpeg"}]), settings())
    assert data.broken.causes[0].example == "https://shop.example/1.jpeg"
