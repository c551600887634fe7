"""The report in a real browser: it loads without an error or another request, and fits a phone."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.core.configuration import Configuration
from recsys.evaluation.colour_agreement import AgreementResult, ColourAgreement, mask_example
from recsys.ingest.causes import explain
from recsys.models.classifier.registry import Classifier
from recsys.reporting.embedding_map import EmbeddingMap
from recsys.reporting.funnel import BrokenCause, BrokenHost, BrokenLinks, Funnel
from recsys.reporting.labels import ClassBalance, ClassGrowth, Guess, GuessList, LabelGuesses, LabelSummary
from recsys.reporting.recommendation_grid import GridRow, Scores, Tile
from recsys.reporting.rendering import write_report
from recsys.reporting.report_data import Header, ReportData
from recsys.reporting.retrieval import Retrieval, RetrievalLevel

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
)  # fmt: skip
PHONE, DESKTOP = 390, 1280

NO_BROWSER = "no chromium, chromium-browser or google-chrome is installed"
pytestmark = [pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER), pytest.mark.browser]

# A page that shows the report in a frame of a device's width and prints measurements. Headless Chromium's own window
# is never narrower than 500 pixels.
MEASURE = """<!doctype html><link rel="icon" href="data:,"><iframe src="/report/index.html" width="WIDTH" height="900">
</iframe><pre id="found"></pre><script>
  document.querySelector("iframe").onload = (event) => {
    const report = event.target.contentDocument;
    const page = report.documentElement;
    const scrolls = (element) => element.closest(".scroll") !== null;
    const grids = () => [...report.querySelectorAll("#grids > article")];
    const found = {
      width: page.clientWidth, scrolled: page.scrollWidth, font: getComputedStyle(report.body).fontSize,
      outside: [...report.querySelectorAll("body *")].filter((element) => !scrolls(element)
        && element.getBoundingClientRect().right > page.clientWidth + 1).map((element) => element.outerHTML),
      tables: [...report.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth + 1).length,
      pictures: [...report.images].filter((image) => image.complete && image.naturalWidth > 0).length,
      all: report.images.length, margin: getComputedStyle(page.querySelector("h1")).marginTop,
      labels: [...report.querySelectorAll("#choose-label option")].map((option) => option.value),
    };
    const label = report.getElementById("choose-label"), order = report.getElementById("choose-order");
    label.value = "=Watches"; label.dispatchEvent(new Event("change"));
    found.filtered = grids().filter((grid) => !grid.hidden).map((grid) => grid.dataset.label);
    label.value = ""; label.dispatchEvent(new Event("change"));
    found.ordered = ["1", "-1", ""].map((direction) => {
      order.value = direction; order.dispatchEvent(new Event("change"));
      return grids().filter((grid) => !grid.hidden).map((grid) => Number(grid.dataset.total));
    });
    document.getElementById("found").textContent = JSON.stringify(found);
  };
</script>"""


def tile(number: int, label: str | None, total: float | None = None) -> Tile:
    picture = np.full((256, 256, 3), 255, np.uint8)
    picture[60:190, 60:190] = (40 * number % 256, 90 * number % 256, 70)
    scores = None if total is None else Scores(0.91, total - 1, 1.0, total)
    title = "Extraordinarilylongnamewithoutanyspace" * (number % 3) + f" Analog Watch <b>{number}</b> for Men & Women"
    return Tile(f"{number:032x}", picture, title, 107_750.5, 2.5, label, scores)


def guesses() -> GuessList:
    """Return guesses for products with long names, ids and labels; one has no picture."""
    shown = [tile(number, "Home Decor & Festive Needs") for number in range(3)]
    long = "Handmadeshowpiece" * 12
    return GuessList(
        count=1_301,
        shown=tuple(
            Guess(item.product_id, item.title, item.picture if at else None, long, str(item.label), 0.97, "both")
            for at, item in enumerate(shown)
        ),
    )


def report() -> ReportData:
    """Return a small report with very long names, URLs and labels."""
    labels = ["Watches", "Home Decor & Festive Needs", None]
    random = np.random.default_rng(0)
    return ReportData(
        header=Header(
            made_at=datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
            source="https://shop.example/exports/" + "catalogue" * 12 + ".csv",
            catalogue_digest="0f" * 16,
            model_version="efficientnet_lite0-imagenet-256-0123456789abcdef-hsv12x8x8",
            links={"MLflow run": "0123456789abcdef" * 2, "Prefect run": "http://127.0.0.1:4200/" + "run" * 30},
        ),
        configuration=Configuration(),
        funnel=Funnel(20_000, 7, 19_993, 18_440, 1_540, 13, 19_650, 19_900, 18_440),
        broken=BrokenLinks(
            causes=tuple(
                BrokenCause(code, count, "https://cdn.shop.example/" + "image" * 30, explain(code))
                for code, count in (("http_404", 1_500), ("not_an_image", 39), ("timeout", 1))
            ),
            hosts=(
                BrokenHost("cdn.shop.example:8443", 1_501, "1500 http_404, 1 timeout"),
                BrokenHost("a" * 200 + ".example", 39, "39 not_an_image"),
            ),
            rescued=212,
        ),
        labels=tuple(
            LabelSummary(label, 8_000, 7_400, (99_999.0, 100_000.0, 100_001.0), 1_000, 900, 80) for label in labels
        ),
        balance=ClassBalance(
            tuple(ClassGrowth(str(label), 11_500, 11_500, 10_747, 10_747, 12_500) for label in labels), "all"
        ),
        guesses=LabelGuesses(
            classifier=Classifier("0123456789abcdef", "0f" * 16, ("Watches",), 0.93, "run", "1"),
            filled=guesses(),
            confidences={f"{number:032x}": 0.9731 for number in range(3)},
            suspicious=guesses(),
            to_review=46,
        ),
        retrieval=Retrieval(
            tuple(RetrievalLevel(level, 18_440, ((1, 0.8, 0.8), (5, 0.7, 0.9), (10, 0.6, 0.95))) for level in (1, 2, 3))
        ),
        colours=ColourAgreement(
            tuple(
                AgreementResult(judged_by, ranked_by, 400, 0.312, 0.391, 1.25, 1.18, 1.33)
                for judged_by in ("dominant colour", "colour words")
                for ranked_by in ("colour", "rule")
            ),
            tuple(mask_example(str(i), tile(i, None).title, tile(i, None).picture) for i in range(8)),
        ),
        map=EmbeddingMap(random.normal(size=(60, 2)), tuple(labels * 20)),
        grids=tuple(
            GridRow(tile(i, label), tuple(tile(i + rank, label, (1.7, 1.9, 1.8)[i]) for rank in range(1, 10)))
            for i, label in enumerate(labels)
        ),
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, list[str]]]:
    """Serve a home with a report on the loopback interface; return its address, its folder, and the requested paths."""
    home = tmp_path_factory.mktemp("home")
    write_report(home, report())
    for width in (PHONE, DESKTOP):
        (home / f"{width}.html").write_text(MEASURE.replace("WIDTH", str(width)))
    requests: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            requests.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(home)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", home, requests
    server.shutdown()
    server.server_close()
    thread.join()


def browse(address: str, profile: Path) -> tuple[str, list[str]]:
    """Return the final DOM of a page, and the messages on the browser's console."""
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=8000", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout, re.findall(r"CONSOLE.*", done.stderr)


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_report_fits_the_screen_with_all_images_and_working_controls(
    shop: tuple[str, Path, list[str]], tmp_path: Path, width: int
) -> None:
    address, _, requests = shop
    requests.clear()
    dom, console = browse(f"{address}/{width}.html", tmp_path)
    assert console == []
    assert requests == [f"/{width}.html", "/report/index.html"]

    match = re.search(r'<pre id="found">(.+?)</pre>', dom)
    assert match is not None
    measured = json.loads(html.unescape(match[1]))
    assert measured["font"] == "16px" and measured["margin"] == "0px"  # the style applies
    assert measured["scrolled"] <= measured["width"] <= width
    assert measured["outside"] == []
    assert measured["tables"] == 0
    assert (
        measured["pictures"] == measured["all"] == 51
    )  # three grids of ten, eight masks twice, the map, and two guesses twice
    assert measured["labels"] == ["", "=Watches", "=Home Decor & Festive Needs", "=No label"]
    assert measured["filtered"] == ["Watches"]
    assert measured["ordered"] == [[1.7, 1.8, 1.9], [1.9, 1.8, 1.7], [1.7, 1.9, 1.8]]  # weakest, best, by label


def test_a_console_error_is_detected(shop: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, home, _ = shop
    page = (home / "report" / "index.html").read_text()
    (home / "injected.html").write_text(page.replace("</main>", "<script>document.title = 'run'</script></main>"))
    dom, console = browse(f"{address}/injected.html", tmp_path)
    assert any("Content Security Policy" in line for line in console)
    assert "<title>run</title>" not in dom
