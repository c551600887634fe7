"""Draw patterns of cloth and ceramics as seamless tiles."""

import cv2
import numpy as np

from sample_shop.drawing.canvas import Pixels
from sample_shop.drawing.geometry import ellipse
from sample_shop.drawing.palette import RGB, lighter, mix

TILE = 128  # pixels
SHIFT = 4  # bits of sub-pixels
LEAF: RGB = (78, 128, 78)


def pattern(name: str, ground: RGB, figure: RGB, accent: RGB, rng: np.random.Generator) -> Pixels:
    """Return the tile (128, 128, 4) RGBA of a pattern in three colours.

    `name` is one of plain, stripes, dots, checks, floral, chevron, ikat, denim; `rng` varies widths and counts.
    """
    tile = np.empty((TILE, TILE, 3), np.uint8)
    tile[:] = ground
    match name:
        case "stripes":
            band = int(rng.choice([16, 32, 64]))
            width = int(band * rng.uniform(0.25, 0.6))
            for x in range(0, TILE, band):
                tile[:, x : x + width] = figure
                if band > 16:
                    tile[:, x + width + 3 : x + width + 6] = accent
        case "dots":
            count = int(rng.choice([2, 3, 4]))
            for i in range(count):
                for j in range(count):
                    for half in (0.0, 0.5):
                        _stamp(tile, ellipse(0, 0, TILE / count * 0.17), figure, (i + half) / count, (j + half) / count)
        case "checks":
            count = int(rng.choice([2, 4]))
            cell = TILE // count
            for i in range(count):
                tile[:, i * cell : i * cell + cell // 2] = mix(ground, figure, 0.5)
            for j in range(count):
                rows = slice(j * cell, j * cell + cell // 2)
                tile[rows] = (tile[rows].astype(int) + figure) // 2
                tile[j * cell + cell * 3 // 4] = accent
                tile[:, j * cell + cell * 3 // 4] = accent
        case "floral":
            for across, down, size in ((0.25, 0.25, 21), (0.75, 0.72, 25), (0.72, 0.18, 13), (0.2, 0.75, 14)):
                for leaf in (25, 155):
                    _stamp(tile, ellipse(size * 1.2, 0, size * 0.7, size * 0.28), LEAF, across, down, leaf)
                petals = figure if size > 14 else accent
                for petal in range(5):
                    _stamp(
                        tile, ellipse(size * 0.55, 0, size * 0.5, size * 0.36), petals, across, down, petal * 72 + 10
                    )
                _stamp(tile, ellipse(0, 0, size * 0.26), accent if size > 14 else lighter(figure, 0.5), across, down)
        case "chevron":
            count = int(rng.choice([2, 4]))
            step = TILE // count
            ys, xs = np.mgrid[:TILE, :TILE]
            wave = np.abs((xs % 64) - 32)
            tile[(ys + wave) % step < step * 0.4] = figure
            tile[(ys + wave + step // 4) % step < step * 0.08] = accent
        case "ikat":
            ys, xs = np.mgrid[:TILE, :TILE]
            distance = np.abs((xs + (ys // 4 % 2) * 4) % 64 - 32) / 32 + np.abs(ys % 128 - 64) / 64
            tile[distance < 0.8] = figure
            tile[distance < 0.5] = accent
            tile[distance < 0.25] = ground
        case "denim":
            ys, xs = np.mgrid[:TILE, :TILE]
            twill = ((xs * 2 + ys) % 8 < 3).astype(float) * 0.1 + rng.random((TILE, TILE)) * 0.08
            tile = (tile * (1 - twill[..., None]) + 255 * twill[..., None] * 0.55).astype(np.uint8)
        case "wood":
            ys, xs = np.mgrid[:TILE, :TILE] / TILE
            grain = np.sin(2 * np.pi * (ys * 5 + 0.35 * np.sin(2 * np.pi * xs) + 0.2 * np.sin(4 * np.pi * ys)))
            grain = 0.075 * grain + 0.035 * np.sin(2 * np.pi * (ys * 31 + 0.2 * np.sin(2 * np.pi * xs)))
            tile = np.clip(tile * (1 + grain[..., None]), 0, 255).astype(np.uint8)
        case "knit":
            ys, xs = np.mgrid[:TILE, :TILE]
            rib = 0.88 + 0.12 * np.sin(2 * np.pi * xs / 8) * np.sin(2 * np.pi * ys / 16 + xs // 8 * np.pi)
            tile = np.clip(tile * rib[..., None], 0, 255).astype(np.uint8)
    return cv2.cvtColor(tile, cv2.COLOR_RGB2RGBA)


def _stamp(tile: Pixels, outline: np.ndarray, colour: RGB, x: float, y: float, turn: float = 0) -> None:
    """Paint an outline around (x, y), shares of the tile, continued over its edges."""
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    placed = outline @ np.array([[cos, sin], [-sin, cos]]) + (x * TILE, y * TILE)
    for dx in (-TILE, 0, TILE):
        for dy in (-TILE, 0, TILE):
            fixed = np.round((placed + np.array([dx, dy])) * (1 << SHIFT)).astype(np.int32)
            cv2.fillPoly(tile, [fixed], colour, cv2.LINE_AA, SHIFT)
