"""Drawing of figures with matplotlib: colours, text, PNG output.

Figures are drawn on matplotlib's `Figure` with the Agg canvas, never through pyplot, whose state threads would share.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

INK, MUTED, RULE, PANEL = "#1f2423", "#66706d", "#e4e2dc", "#f4f2ec"
SCORE_COLOURS = {"visual": "#1f5a5a", "colour": "#c2573a", "price": "#c49a3a"}

# Sizes of a grid of pictures, in inches.
MARGIN, HEADER, TILE, GAP = 0.35, 0.42, 1.2, 0.16
CAPTION = 0.74  # beneath a picture
ROW_GAP = 0.3
CAPTION_LETTERS = 21
ROW = TILE + CAPTION + ROW_GAP


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
            write(canvas, left, bottom + 0.08 + place * 0.15, said, size=6.8, weight=bold, colour=tone)
    return png(figure)


def write(
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
