"""The report's page: one HTML file that loads nothing from anywhere, for the merchandiser and the engineer.

    data = gather(store, configuration, model_version, evaluation, links={"Prefect run": "recsys ui"})
    write_report(home, data)        # RECSYS_HOME/report/index.html

Everything in it that comes from the shop is hostile until shown otherwise: text is escaped, an address is a link
only when it is http or https, and the content security policy lets nothing run or load but what is in the file.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from recsys.core.plotting import SCORE_COLOURS
from recsys.core.text import money
from recsys.evaluation.tsne import MARKERS, legend, perplexity, tsne_picture
from recsys.reporting.contents import ReportData
from recsys.reporting.pictures import weights_picture
from recsys.storage.store import home_error

ROOM = Path(__file__).parent
NEIGHBOUR_SIDE = 160
QUERY_SIDE = 240
"""Pixels of a thumbnail: a little under two for each that a desktop shows, so that phones and print are sharp."""
WEBP_QUALITY = 78
SUREST = 0.9999
"""Of a guess, as it is shown: rounding makes no fact of it."""


def render(data: ReportData) -> str:
    """Return the page as HTML that stands alone: styles, script and pictures are in it."""
    style = (ROOM / "report.css").read_text(encoding="utf-8")
    script = (ROOM / "report.js").read_text(encoding="utf-8")
    return (
        _environment(data.currency)
        .get_template("report.html.j2")
        .render(
            data=data,
            style=Markup(style),
            script=Markup(script),
            policy=_policy(style, script),
            map_picture=_data_uri("image/png", tsne_picture(data.tsne_points, data.tsne_labels, with_legend=False))
            if len(data.tsne_points)
            else None,
            weights_picture=_data_uri("image/png", weights_picture(data.weights)) if data.weights else None,
            legend=legend(data.tsne_labels),
            perplexity=perplexity(len(data.tsne_points), data.configuration),
        )
    )


def write_report(home: Path, data: ReportData) -> Path:
    """Write the page to `report/index.html` in the home, whole or not at all, and return its path.

    Raises:
        HomeError: the disk is full or read-only; the page of the last run is left as it was.
    """
    page = home / "report" / "index.html"
    scratch = page.with_name(f"index.html.{os.getpid()}.part")
    text = render(data)
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        try:
            scratch.write_text(text, encoding="utf-8", errors="replace")  # a file name may hold what UTF-8 cannot
            scratch.replace(page)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise home_error(home, error) from error
    return page


def thumbnail(picture: NDArray[np.uint8], side: int) -> str:
    """Return a squared RGB picture, scaled to `side` pixels, as a data URI (WebP)."""
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".webp", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])
    return _data_uri("image/webp", encoded.tobytes())


def is_web_address(text: str) -> bool:
    """Return whether text may become a link: http or https with a host, never javascript: and the like."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _policy(style: str, script: str) -> str:
    """Return the content security policy that lets only this style and this script apply, and load only data."""

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src {source(style)}",
            f"script-src {source(script)}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _environment(currency: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ROOM),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    environment.filters["percent"] = _percent
    environment.filters["sure"] = lambda confidence: _percent(min(confidence, SUREST), 1)
    environment.filters["figure"] = lambda value: f"{value:.3f}" if value == value else "–"
    environment.filters["money"] = lambda price: money(price, currency)
    environment.filters["moment"] = _moment
    environment.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
    environment.filters["thumbnail"] = thumbnail
    environment.filters["shell"] = shlex.quote
    environment.tests["web_address"] = is_web_address
    environment.globals.update(
        neighbour_side=NEIGHBOUR_SIDE, query_side=QUERY_SIDE, score_colours=SCORE_COLOURS, markers=MARKERS
    )
    return environment


def _percent(part: float, whole: float) -> str:
    """Return a share as people read it: 92 %, 7.8 %, and never 100 % of what is not all."""
    if not whole:
        return "–"
    share = 100 * part / whole
    shown = f"{share:.1f}" if share < 10 or 99 <= share < 100 else f"{share:.0f}"
    return f"{'99.9' if shown == '100.0' else shown.removesuffix('.0')} %"


def _moment(moment: datetime) -> str:
    return f"{moment:%-d %B %Y, %H:%M} {moment.tzname() or ''}".strip()


def _data_uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
