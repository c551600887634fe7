"""Draw products for care, tools, toys, stationery, sports and pets."""

# An outline reads as rows of points, not as a column.
# fmt: off
import numpy as np

from sample_shop.drawing.canvas import Canvas, Gradient, cylinder, metal
from sample_shop.drawing.geometry import Points, box, ellipse, mirrored, point, ribbon, smooth, star, symmetric, turned
from sample_shop.drawing.look import Drawing, Look
from sample_shop.drawing.palette import RGB, brightness, darker, legible, lighter, mix

STEEL: RGB = (200, 204, 210)
GOLD: RGB = (222, 182, 92)
INK: RGB = (40, 41, 47)
BRIGHT: tuple[RGB, ...] = ((226, 66, 70), (246, 150, 50), (248, 206, 70), (84, 178, 96), (62, 136, 220), (140, 90, 190))


# -- care -------------------------------------------------------------------------------------------------------------


def perfume(c: Canvas, look: Look) -> None:
    """Draw a bottle of perfume: square, round or faceted, its liquid in colour."""
    style, cap = look.pick("square", "round", "faceted"), (GOLD, STEEL, INK, (240, 236, 228))[look.pick(0, 1, 2, 3)]
    level, w = look.vary(0.48, 0.6), look.vary(0.2, 0.27)
    if style == 0:
        body = box(0.5 - w, 0.38, 0.5 + w, 0.93, 0.04)
    elif style == 1:
        body = ellipse(0.5, 0.66, w + 0.05, 0.28)
    else:
        body = symmetric(
            [
                (0.5, 0.37), (0.5 - w * 0.6, 0.37), (0.5 - w, 0.48), (0.5 - w * 0.85, 0.85),
                (0.5 - w * 0.5, 0.93), (0.5, 0.93),
            ]
        )
    centre = (0.5, (body[:, 1].min() + body[:, 1].max()) / 2)
    inner = (body - centre) * (0.86, 0.88) + centre
    c.shape(
        box(0.45, 0.28, 0.55, 0.41, 0.01), metal(GOLD if cap != STEEL else STEEL, (0.45, 0.3), (0.55, 0.3)), bevel=0.3
    )
    c.shape(body, mix(look.colour, (240, 246, 250), 0.75), bevel=0.45, depth=0.03, gloss=0.6)
    c.shape(
        inner,
        Gradient(((0, lighter(look.colour, 0.45)), (1, look.colour)), (0.35, level), (0.6, 0.93)),
        bevel=-0.35, depth=0.03, line=0.12,
    )
    c.shape(np.clip(inner, (0, 0), (1, level)), mix(look.colour, (250, 252, 255), 0.82), bevel=0.1, line=0.08)
    if style == 2:
        for x in (-0.5, 0.0, 0.5):
            c.glass(
                [
                    (0.5 + x * w, 0.38), (0.5 + x * w + 0.05, 0.38), (0.5 + x * w * 1.2, 0.92),
                    (0.5 + x * w * 1.2 - 0.03, 0.92),
                ],
                (255, 255, 255),
                0.2,
                atop=True,
            )
    c.soft(box(0.5 - w * 0.8, 0.45, 0.5 - w * 0.66, 0.88, 0.02), (255, 255, 255), 0.75, 0.012)
    if look.emblem % 2:
        c.shape(ellipse(0.5, 0.2, 0.1, 0.1), metal(cap, (0.4, 0.12), (0.6, 0.28)), bevel=0.5, depth=0.04, gloss=0.6)
    else:
        c.shape(box(0.4, 0.09, 0.6, 0.3, 0.02), metal(cap, (0.4, 0.2), (0.6, 0.2)), bevel=0.4, gloss=0.4)
    c.shape(box(0.5 - w * 0.58, 0.63, 0.5 + w * 0.58, 0.8, 0.008), (250, 248, 242), bevel=0.2, line=0.15)
    c.text(look.brand, 0.5, 0.695, 0.036, (60, 52, 56), width=w)
    c.text("EAU DE PARFUM", 0.5, 0.757, 0.016, (130, 118, 118), width=w * 0.9)


def lipstick(c: Canvas, look: Look) -> None:
    """Draw a lipstick, open, with its cap beside it."""
    case = (INK, GOLD, STEEL, (236, 204, 200), (120, 30, 44))[look.pick(0, 1, 2, 3, 4)]
    ring = GOLD if case != GOLD else INK
    x, w = 0.37, look.vary(0.085, 0.105)
    tip = smooth(
        [
            (x - w * 0.72, 0.5), (x - w * 0.72, 0.5), (x - w * 0.72, 0.26), (x - w * 0.3, 0.13),
            (x + w * 0.35, 0.09), (x + w * 0.7, 0.14), (x + w * 0.72, 0.3), (x + w * 0.72, 0.5),
            (x + w * 0.72, 0.5),
        ]
    )
    c.shape(tip, cylinder(look.colour, x - w * 0.72, x + w * 0.72), bevel=0.4, gloss=0.4)
    c.shape(
        smooth(
            [
                (x - w * 0.62, 0.27), (x - w * 0.25, 0.15), (x + w * 0.35, 0.11), (x + w * 0.6, 0.15),
                (x + w * 0.3, 0.25), (x - w * 0.2, 0.32),
            ]
        ),
        lighter(look.colour, 0.22),
        bevel=0.3, line=0.1,
    )
    c.shape(
        box(x - w * 0.85, 0.44, x + w * 0.85, 0.62, 0.008),
        metal(ring, (x - w, 0.5), (x + w, 0.5)),
        bevel=0.3, gloss=0.4,
    )
    c.shape(
        box(x - w * 1.1, 0.6, x + w * 1.1, 0.93, 0.016), metal(case, (x - w, 0.7), (x + w, 0.7)), bevel=0.4, gloss=0.4
    )
    c.line([(x - w * 1.1, 0.645), (x + w * 1.1, 0.645)], 0.012, ring)
    c.emblem(look.emblem, x, 0.79, 0.09, ring)
    cap = 0.69
    c.shape(
        box(cap - w * 1.12, 0.4, cap + w * 1.12, 0.93, 0.02),
        metal(case, (cap - w, 0.7), (cap + w, 0.7)),
        bevel=0.4, gloss=0.4,
    )
    c.line([(cap - w * 1.12, 0.87), (cap + w * 1.12, 0.87)], 0.014, ring)
    c.text(look.brand, cap, 0.65, 0.042, ring, angle=-90, width=0.36)
    if look.chance(0.35):
        c.shape(smooth([(0.08, 0.93), (0.14, 0.9), (0.2, 0.93), (0.17, 0.955), (0.1, 0.955)]), look.colour, bevel=0.5)


def nail_polish(c: Canvas, look: Look) -> None:
    """Draw a bottle of nail polish with a tall black cap."""
    round_bottle, cap = look.chance(0.45), INK if look.chance(0.6) else (236, 232, 226)
    w = look.vary(0.18, 0.23)
    c.shape(
        smooth(
            [
                (0.43, 0.5), (0.43, 0.5), (0.455, 0.1), (0.46, 0.07), (0.54, 0.07), (0.545, 0.1), (0.57, 0.5),
                (0.57, 0.5),
            ],
            steps=5,
        ),
        metal(cap, (0.42, 0.3), (0.58, 0.3)),
        bevel=0.4, gloss=0.4,
    )
    if round_bottle:
        body = np.concatenate([[(0.43, 0.5)], ellipse(0.5, 0.73, w + 0.02, 0.2, 225, -45), [(0.57, 0.5)]])
    else:
        body = smooth(
            [
                (0.43, 0.49), (0.43, 0.49), (0.5 - w * 0.9, 0.56), (0.5 - w, 0.62), (0.5 - w, 0.9),
                (0.5 - w * 0.85, 0.94), (0.5 + w * 0.85, 0.94), (0.5 + w, 0.9), (0.5 + w, 0.62),
                (0.5 + w * 0.9, 0.56), (0.57, 0.49), (0.57, 0.49),
            ]
        )
    c.shape(body, (232, 236, 240), bevel=0.4, gloss=0.5)
    centre = (0.5, 0.73)
    c.shape(
        (body - centre) * (0.87, 0.86) + centre,
        Gradient(
            ((0, lighter(look.colour, 0.3)), (0.4, look.colour), (1, darker(look.colour, 0.3))), (0.35, 0.5),
            (0.65, 0.95),
        ),
        bevel=0.4, depth=0.03, gloss=0.4,
    )
    c.soft(box(0.5 - w * 0.68, 0.6, 0.5 - w * 0.5, 0.86, 0.02), (255, 255, 255), 0.7, 0.012)
    if look.chance(0.3):
        for k in range(26):
            c.flat(
                star(0.5 + w * 0.7 * np.sin(k * 2.4), 0.74 + 0.12 * np.cos(k * 1.7), 0.008, 0.003, 4), (255, 246, 220)
            )
    c.text(look.brand, 0.5, 0.74, 0.045, legible(look.colour), width=w * 1.3)
    c.line([(0.43, 0.49), (0.57, 0.49)], 0.018, STEEL if cap == INK else GOLD)


def hair_dryer(c: Canvas, look: Look) -> None:
    """Draw a hair dryer blowing to the left, with nozzle, switches and cable."""
    dark = INK if brightness(look.colour) > 0.25 else (112, 114, 120)
    c.line(smooth([(0.62, 0.9), (0.6, 0.96), (0.45, 0.95), (0.32, 0.9), (0.2, 0.95)], False), 0.024, INK)
    handle = smooth(
        [(0.53, 0.45), (0.68, 0.45), (0.7, 0.6), (0.69, 0.86), (0.66, 0.92), (0.58, 0.92), (0.555, 0.86), (0.55, 0.62)]
    )
    c.shape(handle, darker(look.colour, 0.1), bevel=0.55, depth=0.03, gloss=0.3)
    body = smooth(
        [
            (0.2, 0.21), (0.2, 0.21), (0.45, 0.14), (0.7, 0.08), (0.85, 0.14), (0.92, 0.3), (0.85, 0.46),
            (0.7, 0.52), (0.45, 0.46), (0.2, 0.4), (0.2, 0.4),
        ]
    )
    c.shape(
        body,
        Gradient(
            ((0, lighter(look.colour, 0.35)), (0.4, look.colour), (1, darker(look.colour, 0.35))), (0.5, 0.1),
            (0.55, 0.52),
        ),
        bevel=0.45, depth=0.04, gloss=0.4,
    )
    c.shape(
        smooth(
            [
                (0.04, 0.17), (0.04, 0.17), (0.12, 0.2), (0.22, 0.195), (0.22, 0.195), (0.22, 0.415),
                (0.22, 0.415), (0.12, 0.41), (0.04, 0.45), (0.04, 0.45),
            ]
        ),
        dark, bevel=0.5, gloss=0.3,
    )
    c.shape(ellipse(0.74, 0.3, 0.13), darker(look.colour, 0.25), bevel=0.4, depth=0.015)
    c.shape(ellipse(0.74, 0.3, 0.105), dark, bevel=-0.3)
    for k in range(5):
        half = np.sqrt(max(0, 0.085**2 - (0.036 * (k - 2)) ** 2))
        c.line([(0.74 - half, 0.3 + 0.036 * (k - 2)), (0.74 + half, 0.3 + 0.036 * (k - 2))], 0.009, lighter(dark, 0.25))
    c.line([(0.24, 0.205), (0.24, 0.41)], 0.014, look.mark)
    c.text(look.brand, 0.42, 0.3, 0.045, legible(look.colour), width=0.28)
    for y in (0.6, 0.69):
        c.shape(box(0.585, y, 0.635, y + 0.06, 0.014), look.mark if y > 0.65 else (232, 232, 232), bevel=0.5)


def feeding_bottle(c: Canvas, look: Look) -> None:
    """Draw a baby's bottle with a teat, a screw ring and marks for the milk."""
    w, level = look.vary(0.15, 0.185), look.vary(0.5, 0.68)
    tint = mix(look.colour, (236, 244, 250), 0.7)
    c.shape(
        smooth(
            [
                (0.47, 0.07), (0.53, 0.07), (0.545, 0.13), (0.54, 0.17), (0.61, 0.24), (0.61, 0.24),
                (0.39, 0.24), (0.39, 0.24), (0.46, 0.17), (0.455, 0.13),
            ]
        ),
        (244, 222, 180),
        bevel=0.5, depth=0.025, gloss=0.4,
    )
    waist = 0.02 if look.chance(0.6) else 0
    side = smooth(
        [
            (0.5 - w * 0.8, 0.3), (0.5 - w, 0.38), (0.5 - w + waist * 1.6, 0.6), (0.5 - w, 0.8),
            (0.5 - w * 0.97, 0.91), (0.5 - w * 0.8, 0.94),
        ],
        False,
    )
    body = np.concatenate([side, mirrored(side)[::-1]])
    c.shape(body, tint, bevel=0.4, depth=0.03, gloss=0.4)
    milk = np.clip((body - (0.5, 0.62)) * (0.88, 0.94) + (0.5, 0.62), (0, level), (1, 1))
    c.shape(milk, cylinder((252, 249, 240), 0.5 - w, 0.5 + w), bevel=0.1, line=0.08)
    for k in range(7):
        y = 0.46 + 0.06 * k
        c.line([(0.5 + w * 0.3, y), (0.5 + w * (0.75 if k % 2 else 0.6), y)], 0.007, mix(look.mark, INK, 0.3))
    c.shape(
        box(0.5 - w * 0.92, 0.23, 0.5 + w * 0.92, 0.33, 0.02),
        cylinder(look.colour if brightness(look.colour) < 0.93 else look.mark, 0.5 - w, 0.5 + w),
        bevel=0.4, gloss=0.3,
    )
    for k in range(11):
        x = 0.5 - w * 0.85 + k * w * 0.17
        c.line([(x, 0.25), (x, 0.315)], 0.005, darker(look.colour, 0.3))
    if look.emblem % 2:
        c.flat(ellipse(0.455, 0.66, 0.05, 0.045), look.mark)
        for x in (0.42, 0.49):
            c.flat(ellipse(x, 0.625, 0.02), look.mark)
        for x in (0.438, 0.472):
            c.flat(ellipse(x, 0.655, 0.007), (255, 255, 255))
    else:
        c.emblem(look.emblem, 0.45, 0.65, 0.09, look.mark)
    c.text(look.brand, 0.45, 0.77, 0.03, look.mark, width=w)
    c.soft(box(0.5 - w * 0.8, 0.4, 0.5 - w * 0.64, 0.86, 0.01), (255, 255, 255), 0.7, 0.01)


def pram(c: Canvas, look: Look) -> None:
    """Draw a pram with a folding hood, a handle and spoked wheels."""
    frame = STEEL if look.chance(0.6) else (90, 92, 100)
    c.line(smooth([(0.24, 0.63), (0.14, 0.45), (0.07, 0.36)], False), 0.024, frame)
    c.shape(ribbon([(0.04, 0.345), (0.11, 0.385)], 0.045, rounded=True), INK, bevel=0.4)
    for a, b in (((0.3, 0.64), (0.68, 0.84)), ((0.7, 0.64), (0.32, 0.84))):
        c.line([a, b], 0.022, frame)
    r = look.vary(0.095, 0.125)
    for x in (0.31, 0.69):
        c.shape(ellipse(x, 0.945 - r, r), INK, bevel=0.4, depth=0.012, holes=[ellipse(x, 0.945 - r, r - 0.026)])
        for k in range(8):
            c.line([(x, 0.945 - r), turned([(x, 0.945 - 2 * r + 0.02)], k * 45, (x, 0.945 - r))[0]], 0.006, frame)
        c.shape(ellipse(x, 0.945 - r, 0.024), look.mark, bevel=0.5)
    centre = (0.55, 0.4)
    ribs = 4
    for k in range(ribs):
        start, end = -100 + 112 * k / ribs, -100 + 112 * (k + 1) / ribs
        wedge = np.concatenate([[centre], ellipse(*centre, 0.33 + 0.012 * (k % 2), None, start, end)])
        c.shape(wedge, look.colour if k % 2 else lighter(look.colour, 0.12), bevel=0.45, depth=0.02)
    body = smooth(
        [(0.16, 0.4), (0.16, 0.4), (0.89, 0.4), (0.89, 0.4), (0.84, 0.6), (0.68, 0.69), (0.38, 0.69), (0.22, 0.6)]
    )
    c.shape(
        smooth([(0.2, 0.4), (0.3, 0.34), (0.5, 0.34), (0.56, 0.4)]), mix(look.figure, (255, 255, 255), 0.5), bevel=0.5
    )
    c.shape(body, look.colour, bevel=0.5, depth=0.045)
    c.shape(ribbon([(0.15, 0.405), (0.9, 0.405)], 0.045, rounded=True), look.mark, bevel=0.4)
    c.stitches(smooth([(0.22, 0.57), (0.38, 0.655), (0.68, 0.655), (0.84, 0.57)], False), lighter(look.colour, 0.5))
    c.emblem(look.emblem, 0.53, 0.53, 0.09, look.mark)
    c.text(look.brand, 0.53, 0.61, 0.03, look.mark, width=0.28)


# -- tools ------------------------------------------------------------------------------------------------------------


def hammer(c: Canvas, look: Look) -> None:
    """Draw a claw hammer at a slant, its handle of wood or rubber."""
    spin, rubber = look.vary(32, 45), look.chance(0.45)

    def place(points: Points) -> np.ndarray:
        return turned(points, spin, (0.5, 0.5))

    grip = look.mark if rubber else look.colour
    wood = look.textured("wood", look.colour, 0.4, spin + 90)
    c.shape(
        place(
            smooth(
                [
                    (0.475, 0.2), (0.47, 0.5), (0.455, 0.75), (0.46, 1.0), (0.5, 1.02), (0.54, 1.0),
                    (0.545, 0.75), (0.53, 0.5), (0.525, 0.2),
                ]
            )
        ),
        wood if not rubber else (72, 74, 80),
        bevel=0.55, depth=0.018,
    )
    if rubber:
        c.shape(
            place(
                smooth([(0.465, 0.6), (0.45, 0.76), (0.45, 1.0), (0.5, 1.025), (0.55, 1.0), (0.55, 0.76), (0.535, 0.6)])
            ),
            grip, bevel=0.55, depth=0.018,
        )
        for k in range(6):
            c.line(place([(0.47, 0.7 + 0.045 * k), (0.53, 0.7 + 0.045 * k)]), 0.01, darker(grip, 0.5))
    head = smooth(
        [
            (0.66, 0.055), (0.66, 0.055), (0.66, 0.185), (0.66, 0.185), (0.6, 0.17), (0.55, 0.165), (0.53, 0.2),
            (0.47, 0.2), (0.45, 0.16), (0.36, 0.17), (0.24, 0.27), (0.22, 0.25), (0.3, 0.12), (0.42, 0.06),
            (0.55, 0.075), (0.6, 0.065),
        ]
    )
    ends = place([(0.5, 0.05), (0.5, 0.2)])
    c.shape(place(head), metal((176, 180, 188), tuple(ends[0]), tuple(ends[1])), bevel=0.55, depth=0.014, gloss=0.5)
    c.shape(place(box(0.655, 0.035, 0.71, 0.205, 0.014)), (158, 162, 170), bevel=0.6, gloss=0.5)
    c.line(place(smooth([(0.235, 0.245), (0.31, 0.165), (0.38, 0.125)], False)), 0.01, (70, 72, 78))
    c.text(
        look.brand,
        *point(place([(0.5, 0.5)])),
        0.026,
        legible(look.colour) if not rubber else (220, 220, 220),
        angle=spin - 90, width=0.16,
    )


def screwdriver(c: Canvas, look: Look) -> None:
    """Draw a screwdriver at a slant with a two-coloured handle."""
    spin, thick = look.vary(36, 52), look.vary(0.07, 0.085)

    def place(points: Points) -> np.ndarray:
        return turned(points, spin, (0.5, 0.5))

    ends = place([(0.48, 0.7), (0.52, 0.7)])
    c.shape(
        place(
            [
                (0.484, 0.5), (0.516, 0.5), (0.516, 0.95), (0.525, 1.0), (0.515, 1.04), (0.485, 1.04),
                (0.475, 1.0), (0.484, 0.95),
            ]
        ),
        metal(STEEL, tuple(ends[0]), tuple(ends[1])),
        bevel=0.4, depth=0.008,
    )
    c.shape(place(box(0.475, 0.46, 0.525, 0.54, 0.01)), STEEL, bevel=0.6, gloss=0.5)
    handle = smooth(
        [
            (0.5 - thick * 0.75, 0.01), (0.5, -0.02), (0.5 + thick * 0.75, 0.01), (0.5 + thick, 0.1),
            (0.5 + thick * 0.95, 0.32), (0.5 + thick * 0.55, 0.4), (0.5 + thick * 0.7, 0.46), (0.5, 0.485),
            (0.5 - thick * 0.7, 0.46), (0.5 - thick * 0.55, 0.4), (0.5 - thick * 0.95, 0.32),
            (0.5 - thick, 0.1),
        ]
    )
    c.shape(place(handle), look.colour, bevel=0.6, depth=0.025, gloss=0.6)
    for x in (-0.55, 0.0, 0.55):
        c.shape(
            place(ribbon([(0.5 + x * thick * 1.1, 0.07), (0.5 + x * thick * 1.1, 0.33)], thick * 0.36, rounded=True)),
            INK if brightness(look.colour) > 0.25 else look.mark,
            bevel=0.4, depth=0.01,
        )
    c.emblem(look.emblem, *point(place([(0.5, 0.02)])), 0.04, look.mark)
    c.text(look.brand, *point(place([(0.5, 0.2)])), 0.022, (240, 240, 240), angle=spin - 90, width=0.2)


def spanner(c: Canvas, look: Look) -> None:
    """Draw a spanner at a slant: an open jaw above, a ring below, a coloured shank."""
    spin, ring_end = look.vary(30, 50), look.chance(0.6)

    def place(points: Points) -> np.ndarray:
        return turned(points, spin, (0.5, 0.5))

    ends = place([(0.4, 0.5), (0.6, 0.5)])
    shine = metal((186, 190, 198), tuple(ends[0]), tuple(ends[1]))

    def jaw(y: float, r: float, up: int) -> np.ndarray:
        arc = ellipse(0.5, y, r, None, -58, 238) if up > 0 else ellipse(0.5, y, r, None, 122, 418)
        slot = [
            (0.5 - r * 0.42, y - up * r * 0.78), (0.5 - r * 0.42, y + up * r * 0.1), (0.5, y + up * r * 0.34),
            (0.5 + r * 0.42, y + up * r * 0.1), (0.5 + r * 0.42, y - up * r * 0.78),
        ]
        return np.concatenate([arc, slot])

    c.shape(
        place(
            [
                (0.44, 0.1), (0.56, 0.1), (0.548, 0.4), (0.548, 0.6), (0.555, 0.9), (0.445, 0.9), (0.452, 0.6),
                (0.452, 0.4),
            ]
        ),
        shine, bevel=0.5, depth=0.012,
    )
    c.shape(place(jaw(0.04, 0.135, 1)), shine, bevel=0.5, depth=0.014, gloss=0.4)
    if ring_end:
        c.shape(
            place(ellipse(0.5, 0.95, 0.11)),
            shine,
            holes=[place(star(0.5, 0.95, 0.068, 0.055, 6))],
            bevel=0.5, depth=0.014, gloss=0.4,
        )
    else:
        c.shape(place(jaw(0.95, 0.115, -1)), shine, bevel=0.5, depth=0.014, gloss=0.4)
    c.shape(place(box(0.462, 0.25, 0.538, 0.77, 0.03)), look.colour, bevel=0.4, depth=0.012)
    c.text(look.brand, *point(place([(0.5, 0.5)])), 0.036, legible(look.colour), angle=spin - 90, width=0.36)


def watering_can(c: Canvas, look: Look) -> None:
    """Draw a watering can with a long spout and its rose."""
    w = look.vary(0.2, 0.235)
    x = 0.6
    c.shape(
        ribbon(
            smooth([(x + w * 0.6, 0.36), (x + w + 0.11, 0.34), (x + w + 0.14, 0.55), (x + w - 0.02, 0.78)], False),
            0.045,
            rounded=True,
        ),
        darker(look.colour, 0.18),
        bevel=0.6, depth=0.015,
    )
    c.shape(ribbon([(x - w + 0.04, 0.74), (0.15, 0.33)], [0.11, 0.04]), look.colour, bevel=0.55, depth=0.02, gloss=0.3)
    c.shape(
        turned([(0.1, 0.3), (0.2, 0.3), (0.24, 0.22), (0.06, 0.22)], -44, (0.15, 0.3)),
        darker(look.colour, 0.15),
        bevel=0.5,
    )
    rose = turned(ellipse(0.15, 0.215, 0.092, 0.03), -44, (0.15, 0.3))
    c.shape(rose, STEEL if look.emblem % 2 else GOLD, bevel=0.5, gloss=0.3)
    for k in range(-3, 4):
        c.flat(ellipse(*point(turned([(0.15 + 0.022 * k, 0.215)], -44, (0.15, 0.3))), 0.006), INK)
    c.shape(
        ribbon(
            smooth([(x - w * 0.7, 0.42), (x - w * 0.5, 0.2), (x + w * 0.3, 0.2), (x + w * 0.75, 0.42)], False), 0.042
        ),
        darker(look.colour, 0.12),
        bevel=0.6, depth=0.014,
    )
    body = np.concatenate(
        [
            [(x - w * 0.85, 0.42)],
            ellipse(x, 0.88, w, 0.045, 180, 0),
            [(x + w * 0.85, 0.42)],
            ellipse(x, 0.42, w * 0.85, 0.04, 0, 180),
        ]
    )
    c.shape(ellipse(x, 0.42, w * 0.85, 0.04), darker(look.colour, 0.55), bevel=0.2)
    c.shape(body, cylinder(look.colour, x - w, x + w), bevel=0.3, gloss=0.3)
    for y in (0.5, 0.82):
        c.shape(
            ribbon(smooth([(x - w * 1.1, y - 0.01), (x, y + 0.035), (x + w * 1.1, y - 0.01)], False), 0.018),
            darker(look.colour, 0.25),
            bevel=0.3, atop=True,
        )
    for p in range(6) if look.chance(0.6) else ():
        c.flat(turned(ellipse(x, 0.6, 0.026, 0.04), p * 60, (x, 0.645)), look.mark)
    c.flat(ellipse(x, 0.645, 0.024), (248, 206, 70))
    c.text(look.brand, x, 0.765, 0.036, look.mark, width=w * 1.3)


# -- toys and paper ---------------------------------------------------------------------------------------------------


def teddy_bear(c: Canvas, look: Look) -> None:
    """Draw a sitting teddy bear with a bow or a jumper."""
    fur, light = look.colour, mix(look.colour, (250, 236, 210), 0.6)
    plush = look.textured("knit", fur, 0.12) if look.chance(0.5) else fur
    for side in (np.array, mirrored):
        c.shape(side(ellipse(0.31, 0.16, 0.085)), plush, bevel=0.5, depth=0.03)
        c.shape(side(ellipse(0.312, 0.168, 0.05)), light, bevel=-0.2)
        c.shape(side(ellipse(0.275, 0.58, 0.075, 0.15, tilt=28)), plush, bevel=0.55, depth=0.035)
    c.shape(
        smooth(
            [
                (0.5, 0.44), (0.36, 0.48), (0.29, 0.66), (0.33, 0.84), (0.5, 0.89), (0.67, 0.84), (0.71, 0.66),
                (0.64, 0.48),
            ]
        ),
        plush, bevel=0.55, depth=0.06,
    )
    jumper = look.chance(0.45)
    if jumper:
        c.shape(
            smooth(
                [
                    (0.5, 0.46), (0.36, 0.49), (0.3, 0.64), (0.3, 0.74), (0.5, 0.78), (0.7, 0.74), (0.7, 0.64),
                    (0.64, 0.49),
                ]
            ),
            look.mark,
            bevel=0.5, depth=0.04,
        )
        c.emblem(look.emblem, 0.5, 0.63, 0.12, lighter(look.mark, 0.7))
    else:
        c.shape(ellipse(0.5, 0.69, 0.125, 0.145), light, bevel=0.35, depth=0.04)
    for side in (np.array, mirrored):
        c.shape(side(ellipse(0.28, 0.83, 0.13, 0.105, tilt=-12)), plush, bevel=0.55, depth=0.035)
        c.shape(side(ellipse(0.225, 0.845, 0.066, 0.075, tilt=-8)), light, bevel=0.3)
        c.flat(side(ellipse(0.225, 0.865, 0.026, 0.022)), darker(light, 0.25))
        for k in (-1, 0, 1):
            c.flat(side(ellipse(0.225 + k * 0.03, 0.815 + abs(k) * 0.01, 0.012)), darker(light, 0.25))
    c.shape(
        smooth(
            [
                (0.5, 0.08), (0.35, 0.12), (0.27, 0.28), (0.33, 0.42), (0.5, 0.48), (0.67, 0.42), (0.73, 0.28),
                (0.65, 0.12),
            ]
        ),
        plush, bevel=0.55, depth=0.06,
    )
    c.shape(ellipse(0.5, 0.355, 0.1, 0.082), light, bevel=0.45, depth=0.03)
    for side in (np.array, mirrored):
        c.shape(side(ellipse(0.415, 0.255, 0.024, 0.027)), (28, 22, 22), bevel=0.3, line=0)
        c.flat(side(ellipse(0.408, 0.246, 0.008)), (255, 255, 255))
    c.shape(ellipse(0.5, 0.318, 0.034, 0.024), (52, 36, 34), bevel=0.6, gloss=0.6)
    c.line([(0.5, 0.335), (0.5, 0.37)], 0.008, (70, 46, 40))
    c.line(
        smooth([(0.455, 0.375), (0.475, 0.392), (0.5, 0.372), (0.525, 0.392), (0.545, 0.375)], False),
        0.008,
        (70, 46, 40),
    )
    if not jumper:
        for side in (np.array, mirrored):
            c.shape(side(smooth([(0.5, 0.48), (0.42, 0.435), (0.39, 0.485), (0.42, 0.535)])), look.mark, bevel=0.5)
        c.shape(ellipse(0.5, 0.483, 0.026), darker(look.mark, 0.2), bevel=0.5)


def toy_car(c: Canvas, look: Look) -> None:
    """Draw a toy car from the side: a saloon, a beetle or a lorry."""
    style, colour = look.pick("saloon", "beetle", "lorry"), look.colour
    glass = (178, 220, 240)
    if style == 2:
        c.shape(box(0.36, 0.3, 0.95, 0.64, 0.025), look.figure, bevel=0.5, depth=0.03, gloss=0.3)
        for k in range(5):
            c.line([(0.45 + 0.1 * k, 0.32), (0.45 + 0.1 * k, 0.6)], 0.01, darker(look.figure, 0.25))
        c.shape(
            smooth(
                [
                    (0.05, 0.69), (0.05, 0.69), (0.05, 0.55), (0.1, 0.5), (0.14, 0.36), (0.17, 0.33),
                    (0.35, 0.33), (0.35, 0.33), (0.35, 0.69), (0.35, 0.69),
                ]
            ),
            colour, bevel=0.55, depth=0.03, gloss=0.5,
        )
        c.shape([(0.15, 0.5), (0.18, 0.38), (0.3, 0.38), (0.3, 0.5)], glass, bevel=0.3, gloss=0.4)
        c.shape(box(0.05, 0.64, 0.95, 0.7, 0.015), darker(colour, 0.4), bevel=0.4)
        c.text(look.brand, 0.66, 0.46, 0.07, legible(look.figure), width=0.44)
    else:
        if style == 0:
            body = smooth(
                [
                    (0.04, 0.66), (0.05, 0.54), (0.14, 0.49), (0.27, 0.46), (0.37, 0.32), (0.5, 0.28),
                    (0.66, 0.29), (0.78, 0.45), (0.92, 0.49), (0.96, 0.58), (0.95, 0.68), (0.5, 0.71),
                    (0.06, 0.7),
                ]
            )
            windows = [
                smooth([(0.33, 0.45), (0.33, 0.45), (0.4, 0.35), (0.5, 0.33), (0.5, 0.33), (0.5, 0.45), (0.5, 0.45)]),
                smooth(
                    [(0.53, 0.45), (0.53, 0.45), (0.53, 0.33), (0.53, 0.33), (0.64, 0.335), (0.72, 0.45), (0.72, 0.45)]
                ),
            ]
        else:
            body = smooth(
                [
                    (0.05, 0.66), (0.06, 0.54), (0.16, 0.46), (0.28, 0.43), (0.36, 0.27), (0.52, 0.2),
                    (0.68, 0.26), (0.82, 0.4), (0.93, 0.54), (0.95, 0.67), (0.5, 0.71), (0.06, 0.69),
                ]
            )
            windows = [
                smooth([(0.34, 0.42), (0.34, 0.42), (0.4, 0.29), (0.5, 0.26), (0.5, 0.26), (0.5, 0.42), (0.5, 0.42)]),
                smooth(
                    [(0.53, 0.42), (0.53, 0.42), (0.53, 0.26), (0.53, 0.26), (0.64, 0.3), (0.72, 0.42), (0.72, 0.42)]
                ),
            ]
        c.shape(
            body,
            Gradient(((0, lighter(colour, 0.25)), (0.5, colour), (1, darker(colour, 0.3))), (0.5, 0.28), (0.5, 0.71)),
            bevel=0.5, depth=0.045, gloss=0.5,
        )
        for window in windows:
            c.shape(window, glass, bevel=0.3, gloss=0.4)
        c.line([(0.515, 0.46), (0.515, 0.66)], 0.007, darker(colour, 0.45))
        c.shape(box(0.55, 0.505, 0.61, 0.525, 0.01), STEEL, bevel=0.4)
        if look.chance(0.6):
            c.shape(
                ribbon(smooth([(0.03, 0.6), (0.5, 0.57), (0.97, 0.6)], False), 0.03), look.mark, bevel=0.2, atop=True
            )
        c.shape(ellipse(0.66, 0.56, 0.06), (250, 250, 246), bevel=0.1)
        c.text(str(look.pick(*range(9)) + 1), 0.66, 0.56, 0.06, INK)
    c.shape(ellipse(0.085, 0.57, 0.03, 0.035), (252, 240, 180), bevel=0.5, gloss=0.5)
    c.shape(box(0.925, 0.54, 0.955, 0.6, 0.01), (226, 60, 60), bevel=0.4)
    for x in (0.25, 0.75):
        c.shape(ellipse(x, 0.7, 0.12), darker(colour, 0.55), bevel=0.2, line=0)
        c.shape(ellipse(x, 0.71, 0.1), (42, 43, 48), bevel=0.5, depth=0.018)
        c.shape(ellipse(x, 0.71, 0.055), look.mark if look.emblem % 2 else STEEL, bevel=0.5, gloss=0.5)
        for k in range(5):
            c.flat(ellipse(*point(turned([(x, 0.677)], k * 72, (x, 0.71))), 0.01), INK)


def stacking_rings(c: Canvas, look: Look) -> None:
    """Draw a stacking toy: rings of many colours on a peg, a ball on top."""
    count, first = 4 + look.pick(0, 1, 2), look.pick(*BRIGHT)
    c.shape(box(0.475, 0.12, 0.525, 0.85, 0.02), (226, 190, 132), bevel=0.4)
    base = look.colour
    c.shape(
        np.concatenate([ellipse(0.5, 0.85, 0.36, 0.05, 180, 360), ellipse(0.5, 0.9, 0.37, 0.052, 0, 180)]),
        cylinder(base, 0.13, 0.87),
        bevel=0.5, gloss=0.4,
    )
    height = 0.6 / count
    for k in range(count):
        y, half = 0.85 - height * (k + 0.5), 0.33 - 0.2 * k / count
        tone = BRIGHT[(first + k) % len(BRIGHT)]
        c.shape(
            box(0.5 - half, y - height * 0.52, 0.5 + half, y + height * 0.52, height * 0.5),
            cylinder(tone, 0.5 - half, 0.5 + half),
            bevel=0.6, depth=0.03, gloss=0.5,
        )
    c.shape(
        ellipse(0.5, 0.17, 0.085),
        BRIGHT[(first + count) % len(BRIGHT)] if look.emblem % 2 else look.mark,
        bevel=0.6, depth=0.04, gloss=0.7,
    )
    if look.chance(0.5):
        for x in (0.475, 0.525):
            c.flat(ellipse(x, 0.16, 0.009, 0.012), INK)
        c.line(smooth([(0.47, 0.19), (0.5, 0.21), (0.53, 0.19)], False), 0.008, INK)
    c.text(look.brand, 0.5, 0.905, 0.03, legible(base), width=0.4)


def pencil_box(c: Canvas, look: Look) -> None:
    """Draw an open pencil box with coloured pencils looking out."""
    count = 7
    for k in range(count):
        tone, x = BRIGHT[(k + look.emblem) % len(BRIGHT)], 0.15 + 0.7 * k / (count - 1)
        h = look.vary(0.1, 0.2)
        lean = (k - 3) * 2.2
        pencil = lambda p, x=x, lean=lean: turned(p, lean, (x, 0.6))  # noqa: E731
        c.shape(
            pencil(box(x - 0.032, 0.14 + h * 0.6, x + 0.032, 0.6)),
            Gradient(
                ((0, darker(tone, 0.2)), (0.35, lighter(tone, 0.25)), (0.65, tone), (1, darker(tone, 0.3))),
                (x - 0.03, 0.3), (x + 0.03, 0.3),
            ),
            bevel=0.2,
        )
        c.shape(
            pencil([(x - 0.032, 0.145 + h * 0.6), (x, 0.04 + h * 0.6), (x + 0.032, 0.145 + h * 0.6)]),
            (236, 204, 156),
            bevel=0.3,
        )
        c.flat(pencil([(x - 0.011, 0.076 + h * 0.6), (x, 0.04 + h * 0.6), (x + 0.011, 0.076 + h * 0.6)]), tone)
    c.shape(box(0.06, 0.47, 0.94, 0.86, 0.06), look.cloth(look.vary(0.14, 0.24)), bevel=0.5, depth=0.035, gloss=0.4)
    c.shape(box(0.06, 0.46, 0.94, 0.53, 0.03), darker(look.colour, 0.25), bevel=0.4)
    c.stitches([(0.09, 0.495), (0.91, 0.495)], STEEL, 0.008, 0.01)
    c.shape(box(0.84, 0.48, 0.87, 0.59, 0.01), STEEL, bevel=0.5, gloss=0.4)
    c.shape(box(0.33, 0.6, 0.67, 0.77, 0.03), (252, 250, 244), bevel=0.3, line=0.2)
    c.text(look.brand, 0.52, 0.685, 0.042, (60, 60, 70), width=0.22)
    c.emblem(look.emblem, 0.38, 0.685, 0.05, look.mark if brightness(look.mark) < 0.85 else (214, 60, 60))


def pen(c: Canvas, look: Look) -> None:
    """Draw a pen at a slant: a ball pen with a clip, or a fountain pen with its nib."""
    spin, nib, trim = look.vary(38, 50), look.chance(0.4), GOLD if look.chance(0.5) else STEEL
    thick = look.vary(0.034, 0.048)

    def place(points: Points) -> np.ndarray:
        return turned(points, spin, (0.5, 0.5))

    def across(colour: RGB) -> Gradient:
        a, b = place([(0.5 - thick, 0.5), (0.5 + thick, 0.5)])
        return Gradient(
            ((0, darker(colour, 0.3)), (0.28, lighter(colour, 0.5)), (0.5, colour), (1, darker(colour, 0.45))),
            tuple(a),
            tuple(b),
        )

    if nib:
        c.shape(place(box(0.5 - thick * 0.7, 0.74, 0.5 + thick * 0.7, 0.9, 0.01)), across(INK), bevel=0.2)
        c.shape(
            place(
                smooth(
                    [
                        (0.5 - thick * 0.55, 0.88), (0.5 - thick * 0.8, 0.95), (0.5, 1.06), (0.5, 1.06),
                        (0.5 + thick * 0.8, 0.95), (0.5 + thick * 0.55, 0.88),
                    ]
                )
            ),
            across(trim),
            bevel=0.3, gloss=0.4,
        )
        c.line(place([(0.5, 0.96), (0.5, 1.05)]), 0.004, INK)
        c.flat(place(ellipse(0.5, 0.955, 0.008)), INK)
    else:
        c.shape(
            place([(0.5 - thick * 0.9, 0.86), (0.5 + thick * 0.9, 0.86), (0.507, 1.02), (0.493, 1.02)]),
            across(trim),
            bevel=0.3, gloss=0.3,
        )
        c.flat(place([(0.495, 1.015), (0.505, 1.015), (0.503, 1.05), (0.497, 1.05)]), INK)
        c.shape(place(box(0.5 - thick * 0.5, -0.06, 0.5 + thick * 0.5, 0.02, 0.01)), across(trim), bevel=0.3)
    c.shape(place(box(0.5 - thick, 0.4, 0.5 + thick, 0.87, 0.01)), across(look.colour), bevel=0.2)
    c.shape(
        place(box(0.5 - thick * 1.08, -0.01, 0.5 + thick * 1.08, 0.42, 0.022)),
        across(look.figure if look.chance(0.5) else look.colour),
        bevel=0.25,
    )
    for y in (0.4, 0.43):
        c.shape(place(box(0.5 - thick * 1.12, y, 0.5 + thick * 1.12, y + 0.018)), across(trim), bevel=0.2)
    c.shape(
        place(
            smooth(
                [
                    (0.5 + thick * 0.1, 0.02), (0.5 + thick * 0.9, 0.01), (0.5 + thick * 1.5, 0.05),
                    (0.5 + thick * 1.35, 0.3), (0.5 + thick * 0.9, 0.32), (0.5 + thick * 0.85, 0.08),
                ]
            )
        ),
        trim, bevel=0.5, depth=0.008, gloss=0.4,
    )
    c.text(look.brand, *point(place([(0.5, 0.62)])), 0.028, legible(look.colour), angle=spin - 90, width=0.3)


def notebook(c: Canvas, look: Look) -> None:
    """Draw a notebook: bound with an elastic band, or with a wire spiral."""
    spiral = look.chance(0.45)
    c.shape(box(0.21, 0.085, 0.83, 0.955, 0.015), darker(look.colour, 0.5), bevel=0.3)
    for k in range(4):
        c.shape(
            box(0.2, 0.078 - 0.003 * k, 0.824 - 0.004 * k, 0.945 - 0.004 * k, 0.01),
            (248, 245, 236),
            bevel=0.15, line=0.22,
        )
    c.shape(box(0.19, 0.06, 0.8, 0.93, 0.03), look.cloth(look.vary(0.14, 0.24)), bevel=0.4, depth=0.02)
    c.soft(box(0.19, 0.05, 0.225, 0.94), (10, 8, 12), 0.35, 0.012)
    if look.pattern == "plain" or look.chance(0.6):
        label = (252, 250, 244)
        c.shape(box(0.33, 0.22, 0.68, 0.4, 0.012), label, bevel=0.2, line=0.2)
        c.text(look.brand, 0.505, 0.285, 0.04, (56, 56, 64), width=0.27)
        for y in (0.335, 0.365):
            c.line([(0.38, y), (0.63, y)], 0.004, (180, 178, 172))
    c.emblem(look.emblem, 0.505, 0.66, 0.14, look.mark)
    if spiral:
        for k in range(17):
            y = 0.1 + 0.049 * k
            c.flat(ellipse(0.225, y, 0.011), (40, 38, 40))
            c.line(smooth([(0.225, y), (0.19, y - 0.018), (0.155, y - 0.006), (0.175, y + 0.012)], False), 0.01, STEEL)
    else:
        c.shape(box(0.7, 0.055, 0.725, 0.935), look.mark, bevel=0.3)
        c.shape([(0.3, 0.92), (0.325, 0.92), (0.325, 0.985), (0.3125, 0.97), (0.3, 0.985)], look.mark, bevel=0.2)


def scissors(c: Canvas, look: Look) -> None:
    """Draw a pair of scissors, open, with coloured handles."""
    gape, size = look.vary(13, 20), look.vary(0.095, 0.115)
    pivot = (0.5, 0.5)
    for sign in (-1, 1):
        side = (lambda p: mirrored(p)) if sign < 0 else np.array
        lean = sign * gape
        blade = turned(side([(0.485, 0.56), (0.535, 0.5), (0.545, 0.35), (0.515, 0.05), (0.49, 0.3)]), lean, pivot)
        c.shape(
            blade,
            metal(
                (206, 210, 216),
                tuple(turned([(0.44, 0.3)], lean, pivot)[0]),
                tuple(turned([(0.56, 0.3)], lean, pivot)[0]),
            ),
            bevel=0.4, depth=0.008,
        )
        cx = 0.5 - sign * 0.045
        loop = turned(ellipse(cx, 0.79, size, size * 1.35, tilt=sign * 8), lean, pivot)
        hole = turned(ellipse(cx, 0.8, size * 0.58, size * 0.93, tilt=sign * 8), lean, pivot)
        c.shape(turned(ribbon([(0.5, 0.52), (cx, 0.68)], [0.05, 0.085]), lean, pivot), look.colour, bevel=0.5)
        c.shape(loop, look.colour, holes=[hole], bevel=0.6, depth=0.016, gloss=0.5)
        c.line(hole, 0.013, look.figure, closed=True)
    c.shape(ellipse(*pivot, 0.028), STEEL, bevel=0.6, gloss=0.5)
    c.line([(0.486, 0.507), (0.514, 0.493)], 0.007, INK)
    c.text(look.brand, 0.5, 0.595, 0.02, legible(look.colour), width=0.07)


def stapler(c: Canvas, look: Look) -> None:
    """Draw a stapler from the side, its arm a little raised."""
    lift = look.vary(4, 9)
    c.shape(
        smooth([(0.05, 0.8), (0.06, 0.745), (0.2, 0.735), (0.75, 0.735), (0.93, 0.72), (0.95, 0.8), (0.5, 0.815)]),
        darker(look.colour, 0.2),
        bevel=0.5, depth=0.02, gloss=0.3,
    )
    c.shape(box(0.1, 0.715, 0.22, 0.74, 0.006), STEEL, bevel=0.4)
    arm = lambda p: turned(p, lift, (0.88, 0.68))  # noqa: E731
    c.shape(arm([(0.1, 0.61), (0.86, 0.61), (0.86, 0.7), (0.1, 0.7)]), metal(STEEL, (0.5, 0.55), (0.5, 0.7)), bevel=0.3)
    c.shape(
        arm(
            smooth(
                [
                    (0.05, 0.62), (0.06, 0.52), (0.14, 0.465), (0.4, 0.43), (0.7, 0.43), (0.9, 0.48),
                    (0.96, 0.6), (0.94, 0.7), (0.86, 0.69), (0.8, 0.64), (0.3, 0.65), (0.07, 0.66),
                ]
            )
        ),
        Gradient(
            ((0, lighter(look.colour, 0.3)), (0.5, look.colour), (1, darker(look.colour, 0.25))), (0.5, 0.4), (0.5, 0.7)
        ),
        bevel=0.5, depth=0.03, gloss=0.5,
    )
    c.shape(
        arm(smooth([(0.12, 0.5), (0.3, 0.455), (0.5, 0.445), (0.5, 0.485), (0.3, 0.5), (0.14, 0.545)])),
        look.figure,
        bevel=0.3,
    )
    c.text(look.brand, *point(arm([(0.6, 0.56)])), 0.055, legible(look.colour), angle=lift, width=0.36)
    c.emblem(look.emblem, *point(arm([(0.33, 0.57)])), 0.07, look.mark)
    c.shape(ellipse(0.89, 0.69, 0.024), STEEL, bevel=0.6, gloss=0.5)
    for k in range(3):
        x = 0.2 + 0.09 * k
        c.line([(x, 0.88), (x, 0.86), (x + 0.055, 0.86), (x + 0.055, 0.88)], 0.007, (150, 154, 160))


# -- sports -----------------------------------------------------------------------------------------------------------


def basketball(c: Canvas, look: Look) -> None:
    """Draw a ball: a basketball, a football or a cricket ball."""
    colour, style = look.colour, look.pick("basketball", "basketball", "volleyball")
    second = look.mark if look.chance(0.3) else colour
    c.shape(
        ellipse(0.5, 0.5, 0.42),
        Gradient(((0, lighter(colour, 0.35)), (0.4, colour), (1, darker(colour, 0.5))), (0.28, 0.18), (0.8, 0.88)),
        bevel=0.4, depth=0.07,
    )
    ink = (34, 28, 26) if brightness(colour) > 0.25 else (214, 210, 204)
    spin = look.vary(-30, 30)
    if second != colour:
        c.shape(
            turned(
                np.concatenate([ellipse(0.5, 0.5, 0.42, None, -90, 90), ellipse(0.5, 0.5, 0.1, 0.42, 90, -90)]), spin
            ),
            second, bevel=0.2, atop=True,
        )
        c.soft(ellipse(0.62, 0.72, 0.3, 0.16, tilt=-40), (10, 4, 4), 0.4, 0.08)
    if style < 2:
        for line in (
            [(0.5, 0.08), (0.5, 0.92)],
            smooth([(0.08, 0.5), (0.3, 0.53), (0.7, 0.53), (0.92, 0.5)], False),
            smooth([(0.235, 0.175), (0.36, 0.36), (0.38, 0.6), (0.24, 0.83)], False),
            smooth([(0.765, 0.175), (0.64, 0.36), (0.62, 0.6), (0.76, 0.83)], False),
        ):
            c.line(turned(line, spin), 0.014, ink)
    else:
        for k in range(3):
            for offset in (-0.12, 0.0, 0.12):
                c.line(
                    turned(
                        smooth(
                            [
                                (0.5, 0.5), (0.44 + offset, 0.3),
                                (0.4 + offset * 1.55, 0.105 + abs(offset) * 0.34 + max(0.0, -offset) * 0.55),
                            ],
                            False,
                        ),
                        k * 120 + spin,
                    ),
                    0.01,
                    ink,
                )
    c.text(look.brand, *point(turned([(0.5, 0.67)], spin)), 0.055, ink, angle=spin, width=0.2)
    c.emblem(look.emblem, *point(turned([(0.5, 0.32)], spin)), 0.085, ink)
    c.soft(ellipse(0.36, 0.27, 0.1, 0.06, tilt=-35), (255, 255, 255), 0.55, 0.04)


def cricket_bat(c: Canvas, look: Look) -> None:
    """Draw a cricket bat at a slant with a coloured grip and stickers, perhaps with a ball."""
    spin = look.vary(22, 40)

    def place(points: Points) -> np.ndarray:
        return turned(points, spin, (0.5, 0.5))

    willow = (230, 202, 150)
    c.shape(place(box(0.478, -0.03, 0.522, 0.36, 0.02)), look.colour, bevel=0.55, depth=0.012)
    for k in range(11):
        c.line(place([(0.48, 0.0 + 0.028 * k), (0.52, 0.012 + 0.028 * k)]), 0.007, darker(look.colour, 0.35))
    blade = smooth(
        [
            (0.485, 0.3), (0.46, 0.34), (0.42, 0.39), (0.415, 0.5), (0.41, 0.95), (0.44, 1.02), (0.5, 1.035),
            (0.56, 1.02), (0.59, 0.95), (0.585, 0.5), (0.58, 0.39), (0.54, 0.34), (0.515, 0.3),
        ]
    )
    c.shape(place(blade), look.textured("wood", willow, 0.5, spin + 90), bevel=0.5, depth=0.02)
    c.shape(
        place([(0.42, 0.45), (0.58, 0.45), (0.58, 0.7), (0.5, 0.76), (0.42, 0.7)]),
        look.mark if look.mark != willow else look.colour,
        bevel=0.15, atop=True,
    )
    c.emblem(look.emblem, *point(place([(0.5, 0.52)])), 0.085, legible(look.mark))
    c.text(look.brand, *point(place([(0.5, 0.635)])), 0.05, legible(look.mark), angle=spin - 90, width=0.15)
    c.shape(place([(0.41, 0.94), (0.59, 0.94), (0.59, 0.965), (0.41, 0.965)]), look.colour, bevel=0.1, atop=True)
    if look.chance(0.5):
        c.shape(ellipse(0.78, 0.8, 0.09), (176, 40, 44), bevel=0.6, depth=0.05, gloss=0.6)
        c.stitches(smooth([(0.705, 0.75), (0.78, 0.795), (0.855, 0.85)], False), (240, 226, 210), 0.007)
        c.stitches(smooth([(0.715, 0.735), (0.79, 0.78), (0.86, 0.83)], False), (240, 226, 210), 0.007)


def dumbbell(c: Canvas, look: Look) -> None:
    """Draw a pair of dumbbells, or one: hexagonal heads, round discs or smooth ends."""
    style, weight = look.pick("hex", "discs", "round"), look.pick(1, 2, 3, 5, 8)
    pair = look.chance(0.5)
    for y in (0.34, 0.68) if pair else (0.5,):
        h = 0.14 if pair else 0.2
        c.shape(
            box(0.26, y - h * 0.2, 0.74, y + h * 0.2, h * 0.1),
            metal(STEEL, (0.5, y - h * 0.2), (0.5, y + h * 0.2)),
            bevel=0.3,
        )
        for k in range(16):
            c.line([(0.38 + 0.016 * k, y - h * 0.18), (0.372 + 0.016 * k, y + h * 0.18)], 0.003, (120, 124, 130))
        for side in (np.array, mirrored):
            shine = Gradient(
                ((0, lighter(look.colour, 0.3)), (0.35, look.colour), (1, darker(look.colour, 0.4))),
                (0.5, y - h), (0.5, y + h),
            )
            if style == 0:
                c.shape(
                    side(
                        [
                            (0.07, y - h * 0.55), (0.11, y - h), (0.28, y - h), (0.31, y - h * 0.55),
                            (0.31, y + h * 0.55), (0.28, y + h), (0.11, y + h), (0.07, y + h * 0.55),
                        ]
                    ),
                    shine, bevel=0.55, depth=0.02, gloss=0.3,
                )
                c.line(side([(0.08, y - h * 0.5), (0.305, y - h * 0.5)]), 0.006, lighter(look.colour, 0.3))
                c.line(side([(0.08, y + h * 0.5), (0.305, y + h * 0.5)]), 0.006, darker(look.colour, 0.4))
            elif style == 1:
                c.shape(side(box(0.04, y - h * 0.22, 0.12, y + h * 0.22, 0.02)), STEEL, bevel=0.5, gloss=0.4)
                for x, tall in ((0.09, 0.7), (0.155, 0.9), (0.22, 1.1)):
                    c.shape(
                        side(box(x, y - h * tall, x + 0.07, y + h * tall, 0.02)),
                        look.colour if tall != 0.9 else look.figure,
                        bevel=0.55, depth=0.018, gloss=0.3,
                    )
            else:
                c.shape(
                    side(
                        smooth(
                            [
                                (0.06, y), (0.09, y - h * 0.8), (0.2, y - h), (0.3, y - h * 0.7), (0.32, y),
                                (0.3, y + h * 0.7), (0.2, y + h), (0.09, y + h * 0.8),
                            ]
                        )
                    ),
                    shine, bevel=0.6, depth=0.04, gloss=0.6,
                )
            if style != 1:
                c.text(
                    f"{(1, 2, 3, 5, 8)[weight]} KG",
                    side([(0.19, y)])[0][0],
                    y - h * 0.1,
                    h * 0.26,
                    legible(look.colour),
                    width=0.14,
                )
                c.text(look.brand, side([(0.19, y)])[0][0], y + h * 0.24, h * 0.15, legible(look.colour), width=0.15)


def racket(c: Canvas, look: Look) -> None:
    """Draw a tennis racket at a slant with its strings, perhaps with a ball."""
    spin = look.vary(28, 45)

    def place(points: Points) -> np.ndarray:
        return turned(points, spin, (0.5, 0.5))

    rx, ry, cy = look.vary(0.185, 0.215), 0.27, 0.22
    strings = (238, 236, 224) if look.chance(0.6) else (60, 62, 68)
    for k in range(-7, 8):
        t = k / 8
        half = np.sqrt(1 - t * t)
        c.line(place([(0.5 + t * rx, cy - ry * half), (0.5 + t * rx, cy + ry * half)]), 0.004, darker(strings, 0.12))
        c.line(
            place([(0.5 - rx * half, cy + t * ry), (0.5 + rx * half, cy + t * ry)]),
            0.004,
            strings if brightness(strings) < 0.5 else darker(strings, 0.2),
        )
    for side in (np.array, mirrored):
        c.shape(
            place(side(ribbon(smooth([(0.5 - rx * 0.82, cy + ry * 0.62), (0.44, 0.55), (0.485, 0.7)], False), 0.034))),
            look.figure,
            bevel=0.5, depth=0.01,
        )
    ring = ellipse(0.5, cy, rx + 0.018, ry + 0.018)
    c.shape(
        place(ring),
        look.colour,
        holes=[place(ellipse(0.5, cy, rx - 0.016, ry - 0.016))],
        bevel=0.6, depth=0.012, gloss=0.5,
    )
    for start in (-150, 30):
        c.shape(
            place(ribbon(ellipse(0.5, cy, rx + 0.001, ry + 0.001, start, start + 50), 0.03)),
            look.mark,
            bevel=0.3, atop=True,
        )
    c.shape(place(box(0.475, 0.66, 0.525, 0.82, 0.008)), look.colour, bevel=0.5)
    c.shape(
        place(box(0.463, 0.78, 0.537, 1.06, 0.02)),
        (44, 45, 50) if look.chance(0.6) else (240, 238, 232),
        bevel=0.5, depth=0.014,
    )
    for k in range(9):
        c.line(place([(0.465, 0.81 + 0.028 * k), (0.535, 0.795 + 0.028 * k)]), 0.005, (120, 120, 124))
    c.emblem(
        look.emblem,
        *point(place([(0.5, cy)])),
        0.11,
        look.mark if abs(brightness(look.mark) - 1) > 0.1 else look.colour,
    )
    if look.chance(0.55):
        x, y = (0.75, 0.75)
        c.shape(ellipse(x, y, 0.095), (206, 226, 70), bevel=0.5, depth=0.05)
        c.line(
            smooth([(x - 0.085, y - 0.04), (x - 0.02, y - 0.02), (x + 0.01, y + 0.04), (x + 0.0, y + 0.093)], False),
            0.011,
            (250, 250, 244),
        )
        c.line(
            smooth([(x + 0.02, y - 0.092), (x + 0.03, y - 0.04), (x + 0.093, y - 0.01)], False), 0.011, (250, 250, 244)
        )


# -- pets -------------------------------------------------------------------------------------------------------------


def _bone(c: Canvas, x: float, y: float, size: float, colour: RGB, spin: float = 0) -> None:
    """Paint a small flat bone."""
    parts = [box(x - size * 0.36, y - size * 0.11, x + size * 0.36, y + size * 0.11)]
    parts += [ellipse(x + sx * size * 0.38, y + sy * size * 0.13, size * 0.16) for sx in (-1, 1) for sy in (-1, 1)]
    for part in parts:
        c.flat(turned(part, spin, (x, y)), colour)


def _paw(c: Canvas, x: float, y: float, size: float, colour: RGB) -> None:
    """Paint a paw print."""
    c.flat(
        smooth(
            [
                (x, y - size * 0.06), (x - size * 0.26, y + size * 0.16), (x - size * 0.2, y + size * 0.36),
                (x, y + size * 0.3), (x + size * 0.2, y + size * 0.36), (x + size * 0.26, y + size * 0.16),
            ]
        ),
        colour,
    )
    for dx, dy in ((-0.34, -0.06), (-0.13, -0.28), (0.13, -0.28), (0.34, -0.06)):
        c.flat(ellipse(x + dx * size, y + dy * size, size * 0.11, size * 0.15), colour)


def pet_bowl(c: Canvas, look: Look) -> None:
    """Draw a bowl for a pet with food or water, a bone or a paw on its front."""
    flare, food = look.vary(0.05, 0.12), look.chance(0.6)
    top, bottom = 0.4, 0.78
    rim = 0.41 - flare * 0.3
    body = np.concatenate(
        [
            [(0.5 - rim, top)],
            ellipse(0.5, bottom, rim + flare * 0.5, 0.07, 180, 0),
            [(0.5 + rim, top)],
            ellipse(0.5, top, rim, 0.11, 0, 180),
        ]
    )
    c.shape(
        body, cylinder(look.colour, 0.5 - rim - flare * 0.5, 0.5 + rim + flare * 0.5), bevel=0.4, depth=0.03, gloss=0.3
    )
    c.shape(ellipse(0.5, top, rim, 0.115), lighter(look.colour, 0.2), bevel=0.4, gloss=0.4)
    c.shape(
        ellipse(0.5, top + 0.008, rim - 0.04, 0.09),
        metal((214, 218, 224), (0.2, 0.35), (0.8, 0.45)),
        bevel=-0.4, depth=0.02,
    )
    if food:
        rng = np.random.default_rng(look.emblem + 11)
        for _ in range(46):
            angle, radius = rng.uniform(0, 6.28), np.sqrt(rng.uniform(0, 0.8))
            x, y = (
                0.5 + (rim - 0.07) * radius * np.cos(angle),
                top - 0.012 + 0.062 * radius * np.sin(angle) - 0.04 * (1 - radius),
            )
            c.shape(
                ellipse(x, y, 0.026, 0.02, tilt=rng.uniform(0, 180)),
                ((150, 92, 54), (178, 116, 66), (122, 72, 44))[rng.integers(3)],
                bevel=0.5, depth=0.01,
            )
    else:
        c.shape(
            ellipse(0.5, top + 0.018, rim - 0.055, 0.072),
            Gradient(((0, (150, 206, 238)), (1, (220, 240, 250))), (0.3, 0.35), (0.7, 0.48)),
            bevel=0.2, line=0.1,
        )
    if look.emblem % 2:
        _bone(c, 0.5, 0.645, 0.27, look.mark)
        c.text(look.brand, 0.5, 0.645, 0.035, legible(look.mark), width=0.18)
    else:
        _paw(c, 0.5, 0.61, 0.17, look.mark)
        c.text(look.brand, 0.5, 0.75, 0.04, look.mark, width=0.34)
        for x in (0.27, 0.73):
            _paw(c, x, 0.62, 0.09, look.mark)
    c.soft(ellipse(0.22, 0.6, 0.03, 0.1), (255, 255, 255), 0.4, 0.02)


def dog_collar(c: Canvas, look: Look) -> None:
    """Draw a dog's collar, buckled to a ring, with a tag and studs."""
    steel, band, style = (
        GOLD if look.chance(0.35) else STEEL,
        look.vary(0.1, 0.135),
        look.pick("studs", "paws", "stitches"),
    )
    rx, ry, y = 0.4, 0.19, 0.36
    c.shape(
        np.concatenate([ellipse(0.5, y, rx, ry, 180, 360), ellipse(0.5, y + band, rx, ry, 360, 180)]),
        darker(look.colour, 0.4),
        bevel=0.3,
    )
    c.shape(
        np.concatenate([ellipse(0.5, y, rx, ry, 180, 0), ellipse(0.5, y + band, rx, ry, 0, 180)]),
        cylinder(look.colour, 0.5 - rx, 0.5 + rx),
        bevel=0.4, depth=0.015,
    )
    for edge in (0.016, band - 0.016):
        c.stitches(ellipse(0.5, y + edge, rx, ry, 174, 6), lighter(look.colour, 0.45), 0.005)
    for k in range(9):
        if k == 4:
            continue
        angle = np.radians(18 + k * 18)
        x, sy = 0.5 + rx * np.cos(angle), y + band / 2 + ry * np.sin(angle)
        if style == 0:
            c.shape(
                ellipse(x, sy, 0.022 * (0.4 + 0.6 * np.sin(angle)), 0.022), steel, bevel=0.7, depth=0.008, gloss=0.6
            )
        elif style == 1:
            _paw(c, x, sy, 0.06, look.mark)
        else:
            c.emblem(2, x, sy, 0.04, look.mark)
    c.shape(
        box(0.66, y + ry - 0.035, 0.78, y + ry + band - 0.02, 0.015),
        metal(steel, (0.66, 0.5), (0.78, 0.7)),
        holes=[box(0.683, y + ry - 0.01, 0.757, y + ry + band - 0.045, 0.008)],
        bevel=0.5, gloss=0.6,
    )
    c.shape(
        ellipse(0.5, y + ry + band + 0.012, 0.035),
        steel,
        holes=[ellipse(0.5, y + ry + band + 0.012, 0.022)],
        bevel=0.5, gloss=0.5,
    )
    ty = y + ry + band + 0.115
    if look.emblem % 2:
        _bone(c, 0.5, ty, 0.3, darker(steel, 0.35))
        _bone(c, 0.497, ty - 0.006, 0.285, steel)
    else:
        c.shape(ellipse(0.5, ty, 0.085), metal(steel, (0.43, ty - 0.08), (0.57, ty + 0.08)), bevel=0.5, gloss=0.6)
    c.text(look.brand, 0.5, ty, 0.028, INK, width=0.13)


def dog_bone(c: Canvas, look: Look) -> None:
    """Draw a chewing bone of rubber with knobs or ridges, or one of hide tied in knots."""
    spin, ridged = look.vary(-35, -15), look.pick("ridges", "dots", "brand")
    r, h = look.vary(0.115, 0.14), look.vary(0.075, 0.095)

    def place(points: Points) -> np.ndarray:
        return turned(points, spin, (0.5, 0.5))

    left = [
        (0.5, 0.5 - h), (0.3, 0.5 - h), (0.24, 0.5 - h - r * 0.55), (0.15, 0.5 - r * 1.35),
        (0.06, 0.5 - r * 0.95), (0.065, 0.5 - r * 0.35), (0.1, 0.5), (0.065, 0.5 + r * 0.35),
        (0.06, 0.5 + r * 0.95), (0.15, 0.5 + r * 1.35), (0.24, 0.5 + h + r * 0.55), (0.3, 0.5 + h),
        (0.5, 0.5 + h),
    ]
    outline = symmetric(smooth(left, False))
    c.shape(place(outline), look.colour, bevel=0.6, depth=0.05, gloss=0.4)
    if ridged == 0:
        for k in range(7):
            x = 0.35 + 0.05 * k
            c.shape(
                place(ribbon([(x, 0.5 - h * 0.98), (x, 0.5 + h * 0.98)], 0.022, rounded=True)),
                darker(look.colour, 0.12),
                bevel=0.5, depth=0.01,
            )
    elif ridged == 1:
        for x in np.arange(0.33, 0.69, 0.045):
            for y in (-0.5, 0.05, 0.6):
                c.shape(
                    place(ellipse(x + 0.012, 0.5 + y * h, 0.013)), lighter(look.colour, 0.15), bevel=0.7, depth=0.008
                )
    else:
        c.text(look.brand, 0.5, 0.5, 0.075, look.mark, angle=spin, width=0.36)
    for x, y in ((0.145, 0.5 - r * 0.75), (0.855, 0.5 + r * 0.75)):
        spot = place([(x, y)])[0]
        _paw(c, spot[0], spot[1], 0.085, look.mark)
    c.soft(
        place(ribbon([(0.32, 0.5 - h * 0.5), (0.66, 0.5 - h * 0.5)], 0.03, rounded=True)), (255, 255, 255), 0.4, 0.015
    )


DRAWINGS: dict[str, Drawing] = {
    "perfume": perfume,
    "lipstick": lipstick,
    "nail_polish": nail_polish,
    "hair_dryer": hair_dryer,
    "feeding_bottle": feeding_bottle,
    "pram": pram,
    "hammer": hammer,
    "screwdriver": screwdriver,
    "spanner": spanner,
    "watering_can": watering_can,
    "teddy_bear": teddy_bear,
    "toy_car": toy_car,
    "stacking_rings": stacking_rings,
    "pencil_box": pencil_box,
    "pen": pen,
    "notebook": notebook,
    "scissors": scissors,
    "stapler": stapler,
    "basketball": basketball,
    "cricket_bat": cricket_bat,
    "dumbbell": dumbbell,
    "racket": racket,
    "pet_bowl": pet_bowl,
    "dog_collar": dog_collar,
    "dog_bone": dog_bone,
}
