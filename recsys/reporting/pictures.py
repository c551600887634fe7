"""Pictures for the report, the MLflow run and the README: the t-SNE map and the demo grid.

Drawn on matplotlib's `Figure` with the Agg canvas, never through pyplot, whose state threads would share.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
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

# the grid, in inches
NEIGHBOURS_LEFT = MARGIN + TILE + 0.45


def weights_picture(found: WeightTradeOff) -> bytes:
    """Return a PNG of the curve of weights: relevance over agreement, and over coverage; each point a mixture."""
    figure = Figure(figsize=(9.4, 3.9), dpi=130, facecolor="white", layout="constrained")
    panels = (("agreement", "agreement in colour and price, least to most"), ("coverage", "share of the shop shown"))
    for axes, (column, name) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        seen = axes.scatter(
            found.curve[column], found.curve[found.precision], c=found.curve["visual"], cmap="viridis", s=14
        )
        for point, mark, label in ((found.configured, "D", "configured"), (found.selected, "o", "earned")):
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

    write(canvas, MARGIN, MARGIN, "Query", size=9, weight="bold")
    write(canvas, NEIGHBOURS_LEFT, MARGIN, "Recommended, best first", size=9, weight="bold")
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


def _draw_tile(canvas: Axes, tile: Tile, left: float, top: float, currency: str) -> None:
    """Draw one product at (left, top): its picture, then price and level, then its scores, or a query's name."""
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
        score = getattr(tile.scores, name)
        y = bottom + 0.3 + number * 0.125
        length = TILE - 0.33
        canvas.add_patch(Rectangle((left, y), length, 0.05, facecolor=RULE, edgecolor="none"))
        filled = length * float(np.clip(score, 0, 1))
        canvas.add_patch(Rectangle((left, y), filled, 0.05, facecolor=colour, edgecolor="none"))
        write(canvas, right, y - 0.022, f"{score:.2f}", size=6.4, colour=MUTED, align="right")


def _score_key(canvas: Axes, right: float, top: float) -> None:
    """Draw which bar is which score, ending at `right`."""
    for number, (name, colour) in enumerate(reversed(SCORE_COLOURS.items()), 1):
        left = right - 0.72 * number
        canvas.add_patch(Rectangle((left, top + 0.03), 0.2, 0.06, facecolor=colour, edgecolor="none"))
        write(canvas, left + 0.27, top, name, size=8, colour=MUTED)
