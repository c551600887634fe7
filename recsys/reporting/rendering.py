"""The report as one HTML file that loads nothing from other hosts.

    data = gather(store, configuration, evaluation, links={"Prefect run": "recsys ui"})
    write_report(home, data)        # RECSYS_HOME/report/index.html

All texts of the shop are untrusted: they are escaped, only http and https addresses become links, and the content
security policy permits only the file's own style and script.
"""

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
from recsys.reporting.pictures import weights_picture
from recsys.reporting.report_data import ReportData
from recsys.storage.home import home_error

TEMPLATE_FOLDER = Path(__file__).parent
NEIGHBOUR_SIDE = 160
"""Side of a recommendation's image, pixels: about twice its size on a desktop, so that phones and print are sharp."""
QUERY_SIDE = 240
"""Side of a query's image, pixels."""
WEBP_QUALITY = 78
MAX_CONFIDENCE = 0.9999
"""Largest confidence shown, so that rounding never shows a guess as certain."""


def render(data: ReportData) -> str:
    """Return the report as HTML that contains its style, script and images."""
    style = (TEMPLATE_FOLDER / "report.css").read_text(encoding="utf-8")
    script = (TEMPLATE_FOLDER / "report.js").read_text(encoding="utf-8")
    template = _environment(data.currency).get_template("report.html.j2")
    return template.render(
        data=data,
        style=Markup(style),
        script=Markup(script),
        policy=_content_security_policy(style, script),
        map_picture=_map_uri(data),
        weights_picture=_data_uri("image/png", weights_picture(data.weights)) if data.weights else None,
        legend=legend(data.map.labels),
        perplexity=perplexity(len(data.map.points), data.configuration),
    )


def write_report(home: Path, data: ReportData) -> Path:
    """Write the report to `report/index.html` in the home, atomically, and return its path.

    Raises:
        HomeError: the disk is full or read-only; the previous report stays unchanged.
    """
    page = home / "report" / "index.html"
    scratch = page.with_name(f"index.html.{os.getpid()}.part")
    html = render(data)
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        try:
            scratch.write_text(html, encoding="utf-8", errors="replace")  # a file name may not be valid UTF-8
            scratch.replace(page)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise home_error(home, error) from error
    return page


def thumbnail(picture: NDArray[np.uint8], side: int) -> str:
    """Return a squared RGB image, scaled to `side` pixels, as a data URI (WebP)."""
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".webp", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])
    return _data_uri("image/webp", encoded.tobytes())


def is_web_address(text: str) -> bool:
    """Return whether a text may become a link: http or https with a host, and never javascript:."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _content_security_policy(style: str, script: str) -> str:
    """Return the policy that permits only this style, this script and data URIs."""

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
        loader=FileSystemLoader(TEMPLATE_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=lambda number: f"{number:,}",
        percent=_percent,
        confidence=lambda value: _percent(min(value, MAX_CONFIDENCE), 1),
        score=lambda value: f"{value:.3f}" if value == value else "–",
        money=lambda price: money(price, currency),
        date_time=_date_time,
        sentence=lambda text: text[:1].upper() + text[1:],
        thumbnail=thumbnail,
        shell=shlex.quote,
    )
    environment.tests["web_address"] = is_web_address
    environment.globals.update(
        neighbour_side=NEIGHBOUR_SIDE, query_side=QUERY_SIDE, score_colours=SCORE_COLOURS, markers=MARKERS
    )
    return environment


def _percent(part: float, whole: float) -> str:
    """Return a share such as 92 % or 7.8 %; 100 % only where the part is the whole."""
    if not whole:
        return "–"
    share = 100 * part / whole
    text = f"{share:.1f}" if share < 10 or 99 <= share < 100 else f"{share:.0f}"
    return f"{'99.9' if text == '100.0' else text.removesuffix('.0')} %"


def _date_time(moment: datetime) -> str:
    return f"{moment:%-d %B %Y, %H:%M} {moment.tzname() or ''}".strip()


def _map_uri(data: ReportData) -> str | None:
    if not len(data.map.points):
        return None
    return _data_uri("image/png", tsne_picture(data.map.points, data.map.labels, with_legend=False))


def _data_uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
