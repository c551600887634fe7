"""Compute outlines in a product's own frame: x to the right, y downwards, the product within the unit square.

Every function returns an outline or a line as an array (n, 2) of floats.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]
Point = tuple[float, float]
Points = Sequence[Point] | Sequence[Outline] | Outline


def ellipse(
    x: float, y: float, rx: float, ry: float | None = None, start: float = 0, end: float = 360, tilt: float = 0
) -> Outline:
    """Return an ellipse around (x, y), or its arc from `start` to `end` degrees, clockwise from the right."""
    outline = _arc(start, end) * (rx, rx if ry is None else ry)
    return (turned(outline, tilt, (0, 0)) if tilt else outline) + (x, y)


@lru_cache(maxsize=1024)
def _arc(start: float, end: float, points: int = 40) -> Outline:
    """Return points on the unit circle."""
    angles = np.radians(np.linspace(start, end, points, endpoint=(end - start) % 360 != 0))
    return np.column_stack([np.cos(angles), np.sin(angles)])


def box(x0: float, y0: float, x1: float, y1: float, corner: float = 0) -> Outline:
    """Return an upright rectangle, its corners rounded with a radius."""
    if corner <= 0:
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    r = min(corner, (x1 - x0) / 2, (y1 - y0) / 2)
    corners = ((180, x0 + r, y0 + r), (270, x1 - r, y0 + r), (0, x1 - r, y1 - r), (90, x0 + r, y1 - r))
    return np.concatenate([_arc(turn, turn + 90, 9) * r + (cx, cy) for turn, cx, cy in corners])


def smooth(points: Points, closed: bool = True, steps: int = 10) -> Outline:
    """Return the Catmull-Rom curve through the points. A repeated point is a corner."""
    p = np.asarray(points, dtype=float)
    if closed:
        before, after, last = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    else:
        padded = np.concatenate([p[:1], p, p[-1:]])
        before, p, after, last = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]  # (steps, 1)
    a, b, c, d = (q[:, None, :] for q in (before, p, after, last))  # (n, 1, 2)
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    curve = np.where((b == c).all(-1, keepdims=True), b, curve).reshape(-1, 2)  # no loop at a corner
    return curve if closed else np.concatenate([curve, after[-1:]])


def ribbon(line: Points, width: float | Sequence[float], rounded: bool = False) -> Outline:
    """Return the outline of a band along a line; a sequence of widths changes evenly along it."""
    p = np.asarray(line, dtype=float)
    along = np.gradient(p, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-12
    widths = np.atleast_1d(np.asarray(width, dtype=float))
    half = np.interp(np.linspace(0, 1, len(p)), np.linspace(0, 1, len(widths)), widths)[:, None] / 2
    normal = along[:, ::-1] * (-1, 1) * half
    left, right = p + normal, (p - normal)[::-1]
    if not rounded:
        return np.concatenate([left, right])
    return np.concatenate([left, _cap(p[-1], normal[-1]), right, _cap(p[0], -normal[0])])


def _cap(centre: Outline, normal: Outline) -> Outline:
    angles = np.radians(np.linspace(15, 165, 9))[:, None]
    forward = normal[::-1] * (1, -1)
    return centre + normal * np.cos(angles) + forward * np.sin(angles)


def symmetric(left: Points, axis: float = 0.5) -> Outline:
    """Return the outline whose left side is given from top to bottom, mirrored at x = axis."""
    p = np.asarray(left, dtype=float)
    return np.concatenate([p, mirrored(p, axis)[::-1]])


def mirrored(points: Points, axis: float = 0.5) -> Outline:
    """Return the points mirrored at x = axis."""
    p = np.asarray(points, dtype=float)
    return p * (-1, 1) + (2 * axis, 0)


def turned(points: Points, degrees: float, around: tuple[float, float] = (0.5, 0.5)) -> Outline:
    """Return the points turned clockwise."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (np.asarray(points, dtype=float) - around) @ np.array([[cos, sin], [-sin, cos]]) + around


def point(points: Points) -> Point:
    """Return the first of the points as a pair."""
    x, y = np.asarray(points, dtype=float)[0]
    return float(x), float(y)


def moved(points: Points, dx: float, dy: float) -> Outline:
    """Return the points moved."""
    return np.asarray(points, dtype=float) + np.array([dx, dy])


def star(x: float, y: float, outer: float, inner: float, tips: int, tilt: float = -90) -> Outline:
    """Return a star; with `inner` near `outer` it is a cog or a scalloped disc."""
    angles = np.radians(tilt + np.arange(2 * tips) * 180 / tips)
    radii = np.where(np.arange(2 * tips) % 2 == 0, outer, inner)
    return np.column_stack([x + radii * np.cos(angles), y + radii * np.sin(angles)])
