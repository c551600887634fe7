"""The HTML report: it loads nothing, escapes hostile texts, and is written atomically."""

from __future__ import annotations

import base64
import errno
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import Configuration, load
from recsys.core.errors import HomeError
from recsys.evaluation.colour_agreement import AgreementResult, ColourAgreement, mask_example
from recsys.evaluation.weight_selection import WeightTradeOff
from recsys.reporting.rendering import render, write_report
from recsys.reporting.report_data import gather
from recsys.storage.store import Store
from tests.recsys.reporting.conftest import Fill, guessed, train

pytestmark = pytest.mark.slow

HOSTILE = """<script>alert(1)</script>" onerror='alert(2)' {{ 7 * 7 }} &lt;b&gt; </style></title>"""
CONFIGURATION = Configuration()


class Page(HTMLParser):
    """The elements of a page with their attributes, and its texts by tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = [""]
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1], []).append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def text_of(html: str, section: str) -> str:
    """Return the text of a section, without tags and line breaks."""
    [inner] = re.findall(f'<section id="{section}".*?</section>', html, re.S)
    return " ".join(re.sub("<[^>]*>", "", re.sub("</t[hd]>", " ", inner)).split())


def page_of(store: Store, **arguments: Any) -> Page:
    return Page(render(gather(store, CONFIGURATION, **arguments)))


def trade_off() -> WeightTradeOff:
    """A curve of three mixtures, as `measure_trade_off` gives it."""
    relevance = {"precision_1": [0.9, 0.8, 0.7], "error_1": 0.01, "colour_agreement": [0.5, 0.8, 0.6]}
    agreement = {"price_agreement": [0.6, 0.7, 0.9], "coverage": [0.5, 0.4, 0.3], "agreement": [0.0, 0.7, 0.8]}
    weights = {"visual": [1.0, 0.0, 0.0], "colour": [0.0, 1.0, 0.0], "price": [0.0, 0.0, 1.0]}
    curve = pd.DataFrame({**weights, **relevance, **agreement})
    return WeightTradeOff(curve, 1, 120, curve.iloc[1], curve.iloc[0])


def test_texts_of_the_shop_are_escaped(fill: Fill) -> None:
    broken = {"status": "broken", "cause": "http_404", "url": f"javascript:alert(3){HOSTILE}"}
    store = fill(
        [
            *({"name": HOSTILE, "label": HOSTILE} for _ in range(2)),
            {},
            broken,
            guessed(HOSTILE, 0.97, name=HOSTILE, category_path=[HOSTILE]),
        ]
    )
    train(store, id_1=(f"other {HOSTILE}", 0.99))
    page = page_of(store, links={HOSTILE: HOSTILE, "Run": "javascript:alert(4)"})
    assert len(page.of("script")) == len(page.of("style")) == len(page.of("title")) == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert all((a["href"] or "").startswith(("#", "https://", "broken-links.csv")) for a in page.of("a"))
    assert page.texts["h3"].count(HOSTILE) == 5  # in three grids, the filled labels and the suspicious labels
    assert {HOSTILE, f"other {HOSTILE}"} <= set(page.texts["bdi"])
    assert HOSTILE in {image.get("alt") for image in page.of("img")}
    assert HOSTILE in {article.get("data-label") for article in page.of("article")}


def test_the_report_loads_nothing(fill: Fill) -> None:
    page = page_of(fill([{} for _ in range(6)]), links={"MLflow run": "http://127.0.0.1:5000/#/runs/1"})
    loads = [
        attributes[name] for _, attributes in page.elements for name in ("src", "srcset", "data") if name in attributes
    ]
    loads += [link["href"] for link in page.of("link")]
    assert loads and all(address is not None and address.startswith("data:") for address in loads)
    assert not [text for text in page.texts["style"] if "url(" in text or "@import" in text]
    assert not [attributes for _, attributes in page.elements if "style" in attributes]


def test_the_policy_permits_only_the_reports_style_and_script(fill: Fill) -> None:
    html = render(gather(fill([{}, {}]), CONFIGURATION))
    [policy] = [meta["content"] for meta in Page(html).of("meta") if "http-equiv" in meta]
    assert policy is not None and policy.startswith("default-src 'none'") and "unsafe" not in policy
    for kind in ("style", "script"):
        [text] = re.findall(f"<{kind}>(.*?)</{kind}>", html, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_a_link_to_the_shop_sends_no_referrer(fill: Fill) -> None:
    page = page_of(fill([{}, {}, {"status": "broken", "cause": "http_404"}]))
    [outside] = [a for a in page.of("a") if (a["href"] or "").startswith("http")]
    assert outside["href"] == "https://shop.example/2.jpeg"
    assert set((outside["rel"] or "").split()) == {"noopener", "noreferrer", "nofollow"}


def test_every_section_is_in_the_report_and_in_the_navigation(fill: Fill) -> None:
    products: list[dict[str, Any]] = [{} for _ in range(12)] + [{"status": "broken", "cause": "timeout"}]
    store = fill([*products, {"label": None}, guessed("Watches", 0.97)])
    train(store, id_0=("Clothing", 0.99))
    evaluation = pd.DataFrame({"level": [1], "queries": [12], "k": [5], "precision": [0.81], "recall": [float("nan")]})
    data = gather(store, CONFIGURATION, evaluation, {"Prefect run": "recsys ui"})
    figure = AgreementResult("dominant colour", "colour", 400, 0.312, 0.391, 1.25, 1.18, 1.33)
    shown = mask_example("id-0", HOSTILE, np.full((256, 256, 3), 255, np.uint8))
    html = render(replace(data, colours=ColourAgreement((figure,), (shown,)), weights=trade_off()))
    page = Page(html)
    sections = [section["id"] for section in page.of("section")]
    expected = "funnel broken labels filled suspicious retrieval colours weights map recommendations"
    assert sections == expected.split()
    assert {f"#{name}" for name in sections} <= {a["href"] for a in page.of("a")}
    assert not [image for image in page.of("img") if not image.get("alt")]
    assert len(page.of("article")) == 14
    for text in (
        "0.810",
        "0.391",
        "1.18 to 1.33",
        "₹103",
        "recsys ui",
        "recsys run --catalogue shop.csv",
        "No label",
        "timeout",
        "0f0f0f0f0f0f",
        "Class balance before and after",
        "recsys labels review --out review.csv",
        "Nothing was changed",
    ):
        assert text in html
    assert 'class="empty"' not in html


@pytest.mark.parametrize("products", [[], [{}], [{"status": "pending", "cause": "timeout"}]])
def test_empty_sections_are_explained(fill: Fill, products: list[dict[str, Any]]) -> None:
    html = render(gather(fill(products), CONFIGURATION))
    for text in ("No link is broken.", "Not evaluated in this run.", "No product has recommendations yet."):
        assert text in html
    assert ("fetches them again" in html) == (products != [] and "status" in products[0])
    assert not re.search(r"\b(nan|None|inf)\b", re.sub(r"<style>.*?</style>|base64,[^\"]*", "", html, flags=re.S))


def test_every_guess_is_marked_with_its_confidence(fill: Fill) -> None:
    store = fill([guessed("Watches", 0.9731), guessed("Watches", 1.0), {"label": "Watches"}])
    train(store)
    page = page_of(store)
    assert len(page.of("article")) == 3
    texts = page.texts["span"]
    # each guess is in its own grid row, and in the rows of the two other queries
    assert texts.count("guess, 97 %") == texts.count("guess, 99.9 %") == 3  # never rounded to 100 %
    assert texts.count("97 %") == texts.count("99.9 %") == 1


UNTRAINED = "no classifier"
NO_CONTRADICTION = "contradicts no catalogue label with a confidence of at least 95 %"


@pytest.mark.parametrize(
    ("product", "threshold", "filled", "suspicious"),
    [
        (
            {"label": None},
            UNTRAINED,
            "No classifier has been trained, so no label was filled. 1 product has no label and needs a review: "
            "recsys labels review --out review.csv.",
            "No classifier has been trained, so no label was checked.",
        ),
        ({}, 0.9, "Every product has a label from the catalogue", NO_CONTRADICTION),
        (
            {"label": None},
            0.9,
            "No label was filled: no guess of the classifier has a confidence of at least 90 %. 1 product has",
            NO_CONTRADICTION,
        ),
        ({"label": None}, None, "At no confidence are 99 % of the classifier’s guesses correct", NO_CONTRADICTION),
    ],
)
def test_the_report_explains_why_no_label_was_filled_or_checked(
    fill: Fill, product: dict[str, Any], threshold: float | str | None, filled: str, suspicious: str
) -> None:
    store = fill([{}, product])
    if not isinstance(threshold, str):
        train(store, threshold)
    html = render(gather(store, CONFIGURATION))
    assert filled in text_of(html, "filled")
    assert suspicious in text_of(html, "suspicious")
    assert html.count('<ul class="guesses">') == 0


def test_the_class_balance_is_a_table_with_totals(fill: Fill) -> None:
    sizes = {"undersample_above": 8, "undersample_to": 7, "most_apart": 2}
    configuration = load(None, {"balance": sizes}, environ={})
    store = fill([{"label": "Big"}] * 9 + [{"label": "Small"}] * 2)
    text = text_of(render(gather(store, configuration)), "labels")
    assert "has 7 more images than the smallest; after, 2; the limit is 2." in text
    for row in ("Big 9 7 0 0 7", "Small 2 2 0 3 5", "All 11 9 0 3 12"):
        assert row in text


def test_without_trusted_labels_there_is_no_class_balance(fill: Fill) -> None:
    html = render(gather(fill([{"label": None}, guessed("Watches", 0.97)]), CONFIGURATION))
    assert "Class balance" not in html and "1 are guesses of the classifier" in text_of(html, "labels")


def test_a_file_name_in_a_command_is_quoted(fill: Fill) -> None:
    data = gather(fill([{}, {}]), CONFIGURATION)
    data = replace(data, header=replace(data.header, source="my shop; rm -rf ~.csv"))
    assert "--catalogue &#39;my shop; rm -rf ~.csv&#39;" in render(data)


def test_the_report_is_written_atomically(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fill([{}, {}])
    data = gather(store, CONFIGURATION)
    page = write_report(store.home, data)
    assert page == store.home / "report" / "index.html"
    first = page.read_text(encoding="utf-8")
    assert first.rstrip().endswith("</html>")

    def full(self: Path, *_: Any, **__: Any) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(HomeError, match="is full"):
            write_report(store.home, data)
    assert page.read_text(encoding="utf-8") == first
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]
