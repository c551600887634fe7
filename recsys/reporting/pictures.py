"""The report's drawings as PNG: the trade-off between the weights, and the grid of recommendations.

They use matplotlib's `Figure` with the Agg canvas and never pyplot, whose state is shared by all threads.
"""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from recsys.core.plotting import (
    CAPTION,
    GAP,
    HEADER,
    INK,
    MARGIN,
    MUTED,
    PANEL,
    ROW,
    ROW_GAP,
    RULE,
    SCORE_COLOURS,
    TILE,
    png,
    write,
)
from recsys.core.text import money
from recsys.evaluation.weight_selection import WeightTradeOff
from recsys.reporting.recommendation_grid import GridRow, Tile

NEIGHBOURS_LEFT = MARGIN + TILE + 0.45
"""Left edge of the recommendations in the grid, inches."""
PANEL_PADDING = 0.11
"""Space between a query and the edge of its panel, inches."""


def weights_picture(trade_off: WeightTradeOff) -> bytes:
    """Return a PNG of relevance against agreement and against coverage; each point is a combination of weights."""
    figure = Figure(figsize=(9.4, 3.9), dpi=130, facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_trade_off(left, trade_off, "agreement", "agreement in colour and price, scaled from 0 to 1")
    points = _draw_trade_off(right, trade_off, "coverage", "share of the shop that is recommended")
    left.set_ylabel(f"relevance (precision, level {trade_off.level})", color=INK)
    left.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower left")
    bar = figure.colorbar(points, ax=[left, right], shrink=0.85)
    bar.set_label("visual weight", color=INK)
    bar.outline.set_visible(False)
    return png(figure)


def _draw_trade_off(axes: Axes, trade_off: WeightTradeOff, column: str, name: str) -> PathCollection:
    """Draw relevance against a column of the curve, with the configured and the selected weights."""
    curve = trade_off.curve
    points = axes.scatter(curve[column], curve[trade_off.precision], c=curve["visual"], cmap="viridis", s=14)
    for point, marker, label in ((trade_off.configured, "D", "configured"), (trade_off.selected, "o", "selected")):
        axes.scatter(
            point[column],
            point[trade_off.precision],
            marker=marker,
            s=80,
            facecolors="none",
            edgecolors=SCORE_COLOURS["colour"],
            linewidths=1.8,
            label=label,
        )
    axes.set_xlabel(name, color=INK)
    axes.grid(color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=MUTED, labelsize=8)
    return points


def grid_picture(rows: Sequence[GridRow], currency: str = "") -> bytes:
    """Return a PNG of queries and their recommendations, with prices, levels and scores.

    Args:
        rows: 1 to 8 are legible; images of any size, all of the same size.
        currency: the prefix of a price.

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
    write(canvas, MARGIN, MARGIN, "Query", size=9, weight="bold")
    write(canvas, NEIGHBOURS_LEFT, MARGIN, "Recommendations, best first", size=9, weight="bold")
    if columns > 4:  # otherwise the key would overlap the heading
        _draw_score_key(canvas, width - MARGIN, MARGIN)
    for number, row in enumerate(rows):
        _draw_row(canvas, row, MARGIN + HEADER + number * ROW, currency)
    return png(figure)


def _draw_row(canvas: Axes, row: GridRow, top: float, currency: str) -> None:
    panel = FancyBboxPatch(
        (MARGIN - PANEL_PADDING, top - PANEL_PADDING),
        TILE + 2 * PANEL_PADDING,
        TILE + CAPTION + 0.13,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=PANEL,
        edgecolor="none",
        zorder=-1,  # below the image
    )
    canvas.add_patch(panel)
    _draw_tile(canvas, row.query, MARGIN, top, currency)
    for column, neighbour in enumerate(row.neighbours):
        _draw_tile(canvas, neighbour, NEIGHBOURS_LEFT + column * (TILE + GAP), top, currency)


def _draw_tile(canvas: Axes, tile: Tile, left: float, top: float, currency: str) -> None:
    """Draw an image, its price and level, and below them the scores, or the name of a query."""
    right, bottom = left + TILE, top + TILE
    canvas.imshow(tile.picture, extent=(left, right, bottom, top), aspect="auto", interpolation="antialiased")
    canvas.add_patch(Rectangle((left, top), TILE, TILE, facecolor="none", edgecolor=RULE, linewidth=0.8))
    write(canvas, left, bottom + 0.07, money(tile.price, currency), size=8.2, weight="bold")
    write(canvas, right, bottom + 0.08, f"level {tile.price_level:g}", size=6.8, colour=MUTED, align="right")
    if tile.scores is None:
        for number, line in enumerate(textwrap.wrap(tile.title, 21, max_lines=3, placeholder=" …")):
            write(canvas, left, bottom + 0.27 + number * 0.14, line, size=6.8, colour=MUTED)
        return
    for number, (name, colour) in enumerate(SCORE_COLOURS.items()):
        _draw_score(canvas, getattr(tile.scores, name), left, bottom + 0.3 + number * 0.125, colour)


def _draw_score(canvas: Axes, score: float, left: float, top: float, colour: str) -> None:
    """Draw a score as a bar and a number."""
    length = TILE - 0.33
    canvas.add_patch(Rectangle((left, top), length, 0.05, facecolor=RULE, edgecolor="none"))
    filled = length * float(np.clip(score, 0, 1))
    canvas.add_patch(Rectangle((left, top), filled, 0.05, facecolor=colour, edgecolor="none"))
    write(canvas, left + TILE, top - 0.022, f"{score:.2f}", size=6.4, colour=MUTED, align="right")


def _draw_score_key(canvas: Axes, right: float, top: float) -> None:
    """Draw the names of the score bars, with their right edge at `right`."""
    for number, (name, colour) in enumerate(reversed(SCORE_COLOURS.items()), 1):
        left = right - 0.72 * number
        canvas.add_patch(Rectangle((left, top + 0.03), 0.2, 0.06, facecolor=colour, edgecolor="none"))
        write(canvas, left + 0.27, top, name, size=8, colour=MUTED)
