"""Pictures for the report, the MLflow run and the README: the t-SNE map and the demo grid.

Drawn on matplotlib's `Figure` with the Agg canvas, never through pyplot, whose state threads would share.
"""

from __future__ import annotations

import io
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Rectangle
from numpy.typing import NDArray

from recsys.configuration import Configuration
from recsys.earned_weights import TradeOff

INK, MUTED, RULE, PANEL = "#1f2423", "#66706d", "#e4e2dc", "#f4f2ec"
SCORE_COLOURS = {"visual": "#1f5a5a", "colour": "#c2573a", "price": "#c49a3a"}
PALETTE = (
    "#1f6f78", "#d9683c", "#6a4c93", "#6a994e", "#c9a227",
    "#2f6db5", "#b5446e", "#8a5a3b", "#4fb0a5", "#e08fa0",
)  # fmt: skip
MARKERS = {"o": "●", "^": "▲"}
OTHER = "#b9bdbb"
NO_LABEL = "No label"
OTHER_LABELS = "Other labels"

# the grid, in inches
MARGIN, HEADER, TILE, GAP = 0.35, 0.42, 1.2, 0.16
CAPTION = 0.74  # beneath a picture
ROW_GAP = 0.3
CAPTION_LETTERS = 21
ROW = TILE + CAPTION + ROW_GAP
NEIGHBOURS_LEFT = MARGIN + TILE + 0.45

SEED = 12_345
PRINCIPAL_COMPONENTS = 50
"""Kept before t-SNE, as its authors do: it takes out noise and most of the time (van der Maaten & Hinton, 2008)."""
SMALLEST_MAP = 5
"""Points; t-SNE has no neighbourhoods to keep among fewer."""


@dataclass(frozen=True)
class Scores:
    """How a neighbour was ranked: visual, colour and price in [0, 1], and their weighted total."""

    visual: float
    colour: float
    price: float
    total: float


@dataclass(frozen=True, eq=False)
class Tile:
    """One product as it is shown.

    Attributes:
        picture: (side, side, 3) uint8 RGB, squared.
        price: in the catalogue's currency, None where unknown.
        price_level: 1 to 4 within its label, 2.5 where neutral.
        scores: None for a query.
    """

    product_id: str
    picture: NDArray[np.uint8]
    title: str
    price: float | None
    price_level: float
    label: str | None = None
    scores: Scores | None = None


@dataclass(frozen=True)
class GridRow:
    """A query and its recommendations, best first."""

    query: Tile
    neighbours: tuple[Tile, ...]


@dataclass(frozen=True)
class LegendEntry:
    """How one label is drawn on the map: ten colours by two markers tell twenty labels apart."""

    label: str
    colour: str
    marker: str
    count: int


def money(price: float | None, currency: str) -> str:
    """Return a price as people read it: ₹1,899, or ₹1,899.50 where there is a fraction."""
    if price is None:
        return "no price"
    return f"{currency}{price:,.0f}" if price == round(price) else f"{currency}{price:,.2f}"


def tsne_points(embeddings: NDArray[np.float32], configuration: Configuration) -> NDArray[np.float64]:
    """Return the t-SNE map of embeddings in two dimensions: the same for the same input.

    The original's settings are perplexity 40 and 300 iterations. A perplexity is a number of neighbours, so with
    few points it is lowered to (n − 1) / 3, the most that t-SNE can honour. Fewer than 5 points, or points that
    are all the same, are laid out by their principal components instead.

    Args:
        embeddings: (n, d), d ≥ 2; the caller samples at most `tsne.sample` of them.
        configuration: its `tsne` section.

    Returns:
        (n, 2).
    """
    n = len(embeddings)
    centred = np.asarray(embeddings, dtype=np.float64)
    if n:
        centred = centred - centred.mean(axis=0)
    if n < SMALLEST_MAP or not np.ptp(centred, axis=0).any():
        return _principal_plane(centred)

    from sklearn.decomposition import PCA  # here, not above: importing scikit-learn takes a second
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    settings = configuration.tsne
    components = min(PRINCIPAL_COMPONENTS, *centred.shape)
    reduced = PCA(components, random_state=SEED).fit_transform(centred).astype(np.float32)  # (n, 50)
    tsne = TSNE(
        n_components=settings.components,
        perplexity=perplexity(n, configuration),
        max_iter=settings.iterations,
        init="pca",
        learning_rate="auto",
        random_state=SEED,
    )
    # one thread: several add up in another order each time, and spin for ever where others use the cores
    with threadpool_limits(1, user_api="openmp"):
        return np.asarray(tsne.fit_transform(reduced), dtype=np.float64)


def perplexity(n: int, configuration: Configuration) -> float:
    """Return the perplexity that n points get: the configured one, or (n − 1) / 3 where that is less."""
    return min(configuration.tsne.perplexity, max(n - 1, 0) / 3)


def _principal_plane(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first two principal coordinates (n, 2) of centred points, zero where there are fewer."""
    points = np.zeros((len(centred), 2))
    if centred.size:
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        points[:, : min(2, len(s))] = (u * s)[:, :2]
    return points


def legend(labels: Sequence[str | None]) -> list[LegendEntry]:
    """Return how each label is drawn, the most frequent first; those after the twentieth share one grey."""
    counts = Counter(label for label in labels if label is not None)
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    styles = [(colour, marker) for marker in MARKERS for colour in PALETTE]
    entries = [
        LegendEntry(label, colour, marker, counts[label])
        for label, (colour, marker) in zip(ranked, styles, strict=False)
    ]
    others = sum(counts[label] for label in ranked[len(styles) :])
    if others:
        entries.append(LegendEntry(OTHER_LABELS, OTHER, "o", others))
    unlabelled = len(labels) - counts.total()
    if unlabelled:
        entries.append(LegendEntry(NO_LABEL, OTHER, "^", unlabelled))
    return entries


def tsne_picture(points: NDArray[np.float64], labels: Sequence[str | None], *, with_legend: bool = True) -> bytes:
    """Return the map as a PNG, coloured by label.

    Args:
        points: (n, 2) of `tsne_points`.
        labels: of each point, None where it has none.
        with_legend: whether to draw the legend; the page sets its own.
    """
    entries = legend(labels)
    figure = Figure(figsize=(10.4, 7) if with_legend else (7, 6.4), dpi=130, facecolor="white")
    draw_map(figure.add_axes((0.01, 0.015, 0.74 if with_legend else 0.98, 0.97)), points, labels, entries)
    if with_legend:
        draw_legend(figure, entries, 0.755)
    return png(figure)


def weights_picture(found: TradeOff) -> bytes:
    """Return a PNG of the curve of weights: relevance over agreement, and over coverage; each point a mixture."""
    figure = Figure(figsize=(9.4, 3.9), dpi=130, facecolor="white", layout="constrained")
    panels = (("agreement", "agreement in colour and price, least to most"), ("coverage", "share of the shop shown"))
    for axes, (column, name) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        seen = axes.scatter(
            found.curve[column], found.curve[found.precision], c=found.curve["visual"], cmap="viridis", s=14
        )
        for point, mark, label in ((found.configured, "D", "configured"), (found.earned, "o", "earned")):
            axes.scatter(
                *(point[column], point[found.precision]),
                **{"marker": mark, "s": 80, "facecolors": "none", "edgecolors": SCORE_COLOURS["colour"]},
                **{"linewidths": 1.8, "label": label},
            )
        axes.set_xlabel(name, color=INK)
        axes.grid(color=RULE, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=MUTED, labelsize=8)
    figure.axes[0].set_ylabel(f"relevance (precision, level {found.level})", color=INK)
    figure.axes[0].legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower left")
    bar = figure.colorbar(seen, ax=figure.axes[:2], shrink=0.85)
    bar.set_label("weight of the look", color=INK)
    bar.outline.set_visible(False)
    return png(figure)


def draw_map(
    axes: Axes, points: NDArray[np.float64], labels: Sequence[str | None], entries: Sequence[LegendEntry]
) -> None:
    """Draw points (n, 2) into axes, each as the legend's entry for its label says."""
    drawn = {entry.label for entry in entries}
    names = np.array([NO_LABEL if label is None else label if label in drawn else OTHER_LABELS for label in labels])
    axes.set_axis_off()
    axes.margins(0.03)
    size = float(np.clip(24_000 / max(len(points), 1), 15, 60))
    for entry in reversed(entries):  # rare labels beneath, none of them behind the grey
        members = points[names == entry.label]
        axes.scatter(
            members[:, 0],
            members[:, 1],
            s=size,
            c=entry.colour,
            marker=entry.marker,
            alpha=0.82,
            linewidths=0.35,
            edgecolors="white",
            zorder=1 if entry.colour == OTHER else 2,
        )


def draw_legend(figure: Figure, entries: Sequence[LegendEntry], left: float) -> None:
    """Draw the legend into a figure, from `left` (0 to 1) on; nothing where it has no entry."""
    if not entries:
        return
    handles = [
        Line2D([], [], ls="", marker=entry.marker, ms=7, mew=0, color=entry.colour, label=printable(entry.label))
        for entry in entries
    ]
    drawn = figure.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(left, 0.5),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        labelspacing=0.75,
        handletextpad=0.3,
    )
    for text in drawn.get_texts():
        text.set_parse_math(False)


def grid_picture(rows: Sequence[GridRow], currency: str = "") -> bytes:
    """Return the demo grid as a PNG: each row a query and its best nine, with prices, levels and scores.

    Args:
        rows: 1 to 8 read well; pictures of any one size.
        currency: shown before a price.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("a grid needs at least one row")
    columns = max([len(row.neighbours) for row in rows] + [1])
    width = NEIGHBOURS_LEFT + columns * (TILE + GAP) - GAP + MARGIN
    height = 2 * MARGIN + HEADER + len(rows) * ROW - ROW_GAP
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    canvas = figure.add_axes((0, 0, 1, 1))  # in inches, from the top left
    canvas.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    canvas.set_axis_off()

    _write(canvas, MARGIN, MARGIN, "Query", size=9, weight="bold")
    _write(canvas, NEIGHBOURS_LEFT, MARGIN, "Recommended, best first", size=9, weight="bold")
    if columns > 4:  # else there is no room beside the heading
        _score_key(canvas, width - MARGIN, MARGIN)
    for number, row in enumerate(rows):
        top = MARGIN + HEADER + number * ROW
        panel = FancyBboxPatch(
            (MARGIN - 0.11, top - 0.11),
            TILE + 0.22,
            TILE + CAPTION + 0.13,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=PANEL,
            edgecolor="none",
            zorder=-1,  # beneath the picture
        )
        canvas.add_patch(panel)
        _draw_tile(canvas, row.query, MARGIN, top, currency)
        for column, neighbour in enumerate(row.neighbours):
            _draw_tile(canvas, neighbour, NEIGHBOURS_LEFT + column * (TILE + GAP), top, currency)
    return png(figure)


def captioned_picture(pictures: Sequence[tuple[NDArray[np.uint8], Sequence[str]]], columns: int = 6) -> bytes:
    """Return pictures as a PNG, row by row, each with up to three lines beneath it.

    Args:
        pictures: (side, side, 3) uint8 RGB, and its lines: the first is set bold.
        columns: pictures a row.

    Raises:
        ValueError: there are no pictures.
    """
    if not pictures:
        raise ValueError("there is no picture to show")
    across, down = min(columns, len(pictures)), -(-len(pictures) // columns)
    width, height = 2 * MARGIN + across * (TILE + GAP) - GAP, 2 * MARGIN + down * ROW - ROW_GAP
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    canvas = figure.add_axes((0, 0, 1, 1))  # in inches, from the top left
    canvas.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    canvas.set_axis_off()
    for number, (picture, lines) in enumerate(pictures):
        left, top = MARGIN + number % columns * (TILE + GAP), MARGIN + number // columns * ROW
        right, bottom = left + TILE, top + TILE
        canvas.imshow(picture, extent=(left, right, bottom, top), aspect="auto", interpolation="antialiased")
        canvas.add_patch(Rectangle((left, top), TILE, TILE, facecolor="none", edgecolor=RULE, linewidth=0.8))
        for place, line in enumerate(lines):
            said = line if len(line) <= CAPTION_LETTERS else f"{line[: CAPTION_LETTERS - 1].rstrip()}…"
            bold, tone = ("bold", INK) if place == 0 else ("normal", MUTED)
            _write(canvas, left, bottom + 0.08 + place * 0.15, said, size=6.8, weight=bold, colour=tone)
    return png(figure)


def _draw_tile(canvas: Axes, tile: Tile, left: float, top: float, currency: str) -> None:
    """Draw one product at (left, top): its picture, then price and level, then its scores, or a query's name."""
    right, bottom = left + TILE, top + TILE
    canvas.imshow(tile.picture, extent=(left, right, bottom, top), aspect="auto", interpolation="antialiased")
    canvas.add_patch(Rectangle((left, top), TILE, TILE, facecolor="none", edgecolor=RULE, linewidth=0.8))
    _write(canvas, left, bottom + 0.07, money(tile.price, currency), size=8.2, weight="bold")
    _write(canvas, right, bottom + 0.08, f"level {tile.price_level:g}", size=6.8, colour=MUTED, align="right")
    if tile.scores is None:
        for number, line in enumerate(textwrap.wrap(tile.title, 21, max_lines=3, placeholder=" …")):
            _write(canvas, left, bottom + 0.27 + number * 0.14, line, size=6.8, colour=MUTED)
        return
    for number, (name, colour) in enumerate(SCORE_COLOURS.items()):
        score = getattr(tile.scores, name)
        y = bottom + 0.3 + number * 0.125
        length = TILE - 0.33
        canvas.add_patch(Rectangle((left, y), length, 0.05, facecolor=RULE, edgecolor="none"))
        filled = length * float(np.clip(score, 0, 1))
        canvas.add_patch(Rectangle((left, y), filled, 0.05, facecolor=colour, edgecolor="none"))
        _write(canvas, right, y - 0.022, f"{score:.2f}", size=6.4, colour=MUTED, align="right")


def _score_key(canvas: Axes, right: float, top: float) -> None:
    """Draw which bar is which score, ending at `right`."""
    for number, (name, colour) in enumerate(reversed(SCORE_COLOURS.items()), 1):
        left = right - 0.72 * number
        canvas.add_patch(Rectangle((left, top + 0.03), 0.2, 0.06, facecolor=colour, edgecolor="none"))
        _write(canvas, left + 0.27, top, name, size=8, colour=MUTED)


def _write(
    canvas: Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    colour: str = INK,
    weight: str = "normal",
    align: str = "left",
) -> None:
    """Write text with its top at y, never as TeX: a shop's names hold dollars."""
    style: dict[str, Any] = {"fontsize": size, "color": colour, "fontweight": weight, "ha": align}
    canvas.text(x, y, printable(text), va="top", parse_math=False, **style)


def printable(text: str) -> str:
    """Return text that the picture's font can draw; of what it cannot, matplotlib would warn and draw a box."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return "".join(c if c.isprintable() and font.get_char_index(ord(c)) else "·" for c in text)


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
