"""Draw home products: decoration, furniture, kitchen."""

# An outline reads as rows of points, not as a column.
# fmt: off
import numpy as np

from sample_shop.drawing.canvas import Canvas, Gradient, cylinder, fade, metal
from sample_shop.drawing.geometry import (
    Outline,
    Points,
    box,
    ellipse,
    mirrored,
    moved,
    point,
    ribbon,
    smooth,
    star,
    symmetric,
    turned,
)
from sample_shop.drawing.look import Drawing, Look
from sample_shop.drawing.palette import RGB, brightness, darker, legible, lighter, mix

STEEL: RGB = (202, 206, 212)
BRASS: RGB = (216, 176, 92)
LEAF: RGB = (74, 140, 76)
FLOWERS: tuple[RGB, ...] = ((226, 84, 108), (246, 196, 74), (240, 238, 230), (176, 116, 200), (244, 140, 90))


def _rounded(c: Canvas, x0: float, x1: float, strength: float = 0.4, y0: float = 0, y1: float = 1) -> None:
    """Shade the painted product as a round body between x0 and x1."""
    w = x1 - x0
    c.soft(box(x1 - 0.28 * w, y0, x1 + 0.1 * w, y1), (10, 10, 20), strength, 0.06 * w + 0.01)
    c.soft(box(x0 - 0.1 * w, y0, x0 + 0.08 * w, y1), (10, 10, 20), strength * 0.7, 0.04 * w + 0.01)
    c.soft(box(x0 + 0.2 * w, y0 + 0.03, x0 + 0.3 * w, y1 - 0.03), (255, 255, 255), strength * 0.9, 0.03 * w + 0.005)


def vase(c: Canvas, look: Look) -> None:
    """Draw a vase: slender, bellied or a jar, with or without flowers."""
    style = look.pick("slender", "bellied", "cylinder")
    belly, lip = look.vary(0.17, 0.24), look.vary(0.07, 0.11)
    flowers, bloom = look.chance(0.45), FLOWERS[look.pick(*FLOWERS)]
    top = 0.4 if flowers else 0.12
    if flowers:
        for k, (x, y) in enumerate(((0.36, 0.2), (0.5, 0.12), (0.65, 0.19), (0.43, 0.3), (0.58, 0.29))):
            c.line(
                smooth([(0.5 + (x - 0.5) * 0.2, 0.45), ((x + 0.5) / 2, 0.34), (x, y)], False), 0.01, darker(LEAF, 0.1)
            )
            c.shape(
                turned(
                    smooth([(x, y + 0.05), (x + 0.06, y + 0.08), (x + 0.1, y + 0.14), (x + 0.03, y + 0.12)]),
                    40 * (k % 2),
                    (x, y + 0.1),
                ),
                LEAF,
                bevel=0.3,
            )
            petals = 5 + look.emblem % 3
            for p in range(petals):
                c.shape(
                    turned(ellipse(x, y - 0.042, 0.03, 0.042), p * 360 / petals + k * 11, (x, y)),
                    bloom, bevel=0.35, depth=0.012,
                )
            c.shape(
                ellipse(x, y, 0.024), (240, 188, 70) if bloom[2] < 200 or bloom[0] > 239 else (130, 80, 60), bevel=0.4
            )
    height = 0.93 - top
    if style == 0:
        side = [
            (lip, top), (lip * 0.62, top + height * 0.16), (lip * 0.8, top + height * 0.38),
            (belly * 0.86, top + height * 0.68), (belly * 0.7, 0.88), (belly * 0.45, 0.93),
        ]
    elif style == 1:
        side = [
            (lip, top), (lip * 0.8, top + height * 0.12), (belly * 0.85, top + height * 0.32),
            (belly * 1.12, top + height * 0.58), (belly * 0.85, top + height * 0.86), (belly * 0.55, 0.93),
        ]
    else:
        side = [
            (belly * 0.82, top), (belly * 0.78, top + height * 0.06), (belly * 0.8, top + height * 0.4),
            (belly * 0.74, 0.85), (belly * 0.68, 0.93),
        ]
    left = smooth([(0.5 - w, y) for w, y in side], False)
    mouth = side[0][0]
    c.shape(ellipse(0.5, top, mouth, mouth * 0.24), darker(look.colour, 0.6), bevel=0.2)
    body = np.concatenate(
        [
            symmetric(left)[: len(left)],
            ellipse(0.5, 0.93, side[-1][0], side[-1][0] * 0.2, 180, 0)[1:-1],
            mirrored(left)[::-1],
            ellipse(0.5, top, mouth, mouth * 0.24, 0, 180)[1:-1],
        ]
    )
    c.shape(body, look.cloth(look.vary(0.13, 0.22)), bevel=0.4, depth=0.05)
    widest = max(w for w, _ in side)
    _rounded(c, 0.5 - widest, 0.5 + widest, 0.42, top, 0.95)
    bands = look.pick(0, 1, 2)
    for k in range(bands):
        y = top + height * (0.52 + 0.14 * k)
        c.shape(
            ribbon(smooth([(0.2, y - 0.015), (0.5, y + 0.022), (0.8, y - 0.015)], False), 0.03),
            look.figure,
            bevel=0.2, atop=True,
        )
    c.shape(
        ellipse(0.5, top, mouth + 0.008, mouth * 0.24 + 0.008),
        lighter(look.colour, 0.2),
        holes=[ellipse(0.5, top, mouth - 0.012, mouth * 0.24 - 0.008)],
        bevel=0.3,
    ) if not flowers else None


def wall_clock(c: Canvas, look: Look) -> None:
    """Draw a wall clock: round, square or with rays like a sun."""
    style, dark = look.pick("round", "square", "sun"), look.chance(0.3)
    dial: RGB = (40, 42, 50) if dark else (250, 247, 238)
    ink: RGB = (244, 242, 236) if dark else (44, 44, 52)
    r = (0.43, 0.41, 0.27)[style]
    if style == 2:
        rays = look.pick(12, 16, 24) * 6 + 12
        for k in range(rays):
            length = 0.46 if k % 2 == 0 else 0.39
            c.shape(
                turned([(0.488, 0.3), (0.5, 0.5 - length), (0.512, 0.3)], k * 360 / rays),
                look.colour if k % 2 == 0 else look.figure,
                bevel=0.4, depth=0.008,
            )
    if style == 1:
        c.shape(box(0.5 - r, 0.5 - r, 0.5 + r, 0.5 + r, 0.06), look.colour, bevel=0.6, gloss=0.4)
        c.shape(box(0.55 - r, 0.55 - r, 0.45 + r, 0.45 + r, 0.03), dial, bevel=-0.35, depth=0.03)
    else:
        c.shape(ellipse(0.5, 0.5, r), look.colour, bevel=0.7, depth=0.025, gloss=0.5)
        c.shape(ellipse(0.5, 0.5, r - 0.05), dial, bevel=-0.4, depth=0.025)
    r -= 0.05
    roman = look.chance(0.35)
    words = (
        ("XII", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI")
        if roman
        else ("12", *map(str, range(1, 12)))
    )
    for k in range(60):
        a = turned([(0.5, 0.5 - r * 0.94), (0.5, 0.5 - r * (0.86 if k % 5 == 0 else 0.9))], k * 6)
        if style == 1 or k % 5 == 0 or r > 0.3:
            c.line(a, 0.008 if k % 5 == 0 else 0.003, ink)
    for k, word in enumerate(words):
        c.text(word, *point(turned([(0.5, 0.5 - r * 0.72)], k * 30)), r * 0.155, ink)
    c.text(look.brand, 0.5, 0.5 + r * 0.38, r * 0.075, mix(ink, dial, 0.25), width=r * 0.6)
    hour, minute = look.vary(0, 360), look.vary(0, 360)
    hour, minute = (300.0, 60.0) if look.chance(0.7) else (hour, minute)
    for angle, length, width in ((hour, 0.46, 0.026), (minute, 0.68, 0.018)):
        c.shape(
            turned(
                [
                    (0.5 - width / 2, 0.5 + r * 0.1), (0.5 - width * 0.3, 0.5 - r * length),
                    (0.5 + width * 0.3, 0.5 - r * length), (0.5 + width / 2, 0.5 + r * 0.1),
                ],
                angle,
            ),
            ink, bevel=0,
        )
    c.line(turned([(0.5, 0.5 + r * 0.18), (0.5, 0.5 - r * 0.78)], 200), 0.006, (214, 60, 60))
    c.shape(ellipse(0.5, 0.5, 0.018), (214, 60, 60) if not dark else BRASS, gloss=0.4)


def table_lamp(c: Canvas, look: Look) -> None:
    """Draw a table lamp: a shade of cloth over a turned, round or slender foot."""
    style, foot = (
        look.pick("turned", "ball", "stem"),
        (BRASS, (120, 78, 50), (236, 232, 226), (64, 66, 74))[look.pick(0, 1, 2, 3)],
    )
    top, wide = look.vary(0.12, 0.2), look.vary(0.27, 0.36)
    c.line([(0.5, 0.5), (0.5, 0.85)], 0.025, darker(BRASS, 0.25))
    if style == 0:
        left = smooth(
            [(0.47, 0.52), (0.44, 0.56), (0.47, 0.6), (0.41, 0.68), (0.46, 0.78), (0.47, 0.84), (0.38, 0.9)], False
        )
        c.shape(symmetric(left), cylinder(foot, 0.38, 0.62), bevel=0.4, gloss=0.3)
    elif style == 1:
        c.shape(
            ellipse(0.5, 0.7, 0.16, 0.15),
            Gradient(((0, lighter(foot, 0.45)), (0.4, foot), (1, darker(foot, 0.5))), (0.4, 0.58), (0.62, 0.84)),
            bevel=0.4, gloss=0.4,
        )
        c.shape(box(0.45, 0.53, 0.55, 0.57, 0.015), BRASS, gloss=0.4)
    else:
        c.shape(box(0.485, 0.5, 0.515, 0.9, 0.01), cylinder(foot, 0.48, 0.52), bevel=0.2)
        c.line([(0.58, 0.5), (0.58, 0.66)], 0.006, BRASS)
        c.shape(ellipse(0.58, 0.67, 0.013), BRASS, gloss=0.5)
    c.shape(
        np.concatenate([ellipse(0.5, 0.885, 0.17, 0.032, 180, 360), ellipse(0.5, 0.91, 0.17, 0.034, 0, 180)]),
        cylinder(foot, 0.33, 0.67),
        bevel=0.4, gloss=0.3,
    )
    shade = np.concatenate([ellipse(0.5, 0.1, top, top * 0.13, 180, 360), ellipse(0.5, 0.5, wide, wide * 0.15, 0, 180)])
    c.soft(ellipse(0.5, 0.56, wide * 0.8, 0.05), (255, 236, 170), 0.5, 0.04)
    c.shape(shade, look.cloth(look.vary(0.12, 0.2)), bevel=0.35, depth=0.04)
    c.soft(ellipse(0.47, 0.34, 0.12, 0.16), (255, 244, 196), 0.55, 0.06)
    c.soft(box(0.5 + wide * 0.55, 0.1, 0.95, 0.6), (20, 10, 20), 0.3, 0.05)
    trim = look.mark if look.chance(0.6) else darker(look.colour, 0.25)
    c.shape(ribbon(ellipse(0.5, 0.5, wide, wide * 0.15, 0, 180), 0.024), trim, bevel=0.2, atop=True)
    c.shape(ribbon(ellipse(0.5, 0.105, top, top * 0.13, 0, 180), 0.016), trim, bevel=0.2, atop=True)
    c.line([(0.5, 0.07), (0.5, 0.11)], 0.016, BRASS)
    c.shape(ellipse(0.5, 0.06, 0.02), BRASS, gloss=0.6)


def painting(c: Canvas, look: Look) -> None:
    """Draw a framed picture: hills, the sea, an abstract, or a flower."""
    wide = look.chance(0.5)
    x0, y0, x1, y1 = (0.06, 0.17, 0.94, 0.83) if wide else (0.17, 0.06, 0.83, 0.94)
    frame = look.textured("wood", look.colour, 0.4, 0)
    c.shape(box(x0, y0, x1, y1, 0.008), frame, bevel=0.7, depth=0.014, gloss=0.2)
    mat = 0.045 if look.chance(0.6) else 0.0
    c.shape(box(x0 + 0.045, y0 + 0.045, x1 - 0.045, y1 - 0.045), (248, 245, 236), bevel=-0.5, depth=0.01)
    x0, y0, x1, y1 = x0 + 0.05 + mat, y0 + 0.05 + mat, x1 - 0.05 - mat, y1 - 0.05 - mat
    w, h = x1 - x0, y1 - y0

    def within(points: list[tuple[float, float]]) -> np.ndarray:
        return np.clip(np.array(points), 0, 1) * (w, h) + (x0, y0)

    def at(x: float, y: float, r: float, flat: float = 1.0) -> np.ndarray:
        return ellipse(x0 + x * w, y0 + y * h, r * min(w, h), r * min(w, h) * flat)

    tones = [FLOWERS[look.pick(*FLOWERS)] for _ in range(3)]
    match look.pick("hills", "sea", "abstract", "flower"):
        case 0:
            c.shape(box(x0, y0, x1, y1), fade((250, 206, 160), (246, 236, 214), y0, y1), bevel=0)
            c.flat(at(look.vary(0.25, 0.75), 0.3, 0.12), (250, 150, 90))
            for k, tone in enumerate(((150, 150, 190), (104, 130, 150), (66, 104, 96), (40, 72, 62))):
                y, phase = 0.42 + 0.14 * k, look.vary(0, 6)
                ridge = [(x, y + 0.09 * np.sin(x * (5 + k) + phase)) for x in np.linspace(0, 1, 24)]
                c.flat(within([*ridge, (1, 1), (0, 1)]), tone)
        case 1:
            c.shape(box(x0, y0, x1, y1), fade((122, 184, 222), (240, 240, 226), y0, y0 + h * 0.55), bevel=0)
            c.flat(within([(0, 0.55), (1, 0.55), (1, 1), (0, 1)]), (38, 110, 150))
            for k in range(5):
                wave = [(x, 0.6 + 0.08 * k + 0.014 * np.sin(x * 22 + k * 2)) for x in np.linspace(0, 1, 40)]
                c.line(within(wave), 0.008, mix((38, 110, 150), (236, 246, 246), 0.3 + 0.1 * k))
            bx = look.vary(0.3, 0.65)
            c.flat(within([(bx - 0.12, 0.58), (bx + 0.14, 0.58), (bx + 0.08, 0.66), (bx - 0.08, 0.66)]), (110, 62, 44))
            c.flat(within([(bx, 0.2), (bx, 0.56), (bx - 0.12, 0.56)]), (250, 246, 236))
            c.flat(within([(bx + 0.015, 0.26), (bx + 0.13, 0.56), (bx + 0.015, 0.56)]), tones[0])
        case 2:
            c.shape(box(x0, y0, x1, y1), (242, 234, 220), bevel=0)
            c.flat(at(0.35, 0.38, 0.27), tones[0])
            c.flat(within([(0.4, 0.45), (0.92, 0.3), (0.75, 0.9)]), tones[1])
            c.flat(within([(0.08, 0.62), (0.5, 0.62), (0.5, 0.92), (0.08, 0.92)]), look.accent)
            c.line(within([(0.08, 0.15), (0.9, 0.75)]), 0.014, (40, 40, 46))
            c.flat(at(0.72, 0.24, 0.1), (40, 40, 46))
        case _:
            c.shape(box(x0, y0, x1, y1), fade((226, 236, 230), (200, 218, 212), y0, y1), bevel=0)
            mx, my, r = x0 + w / 2, y0 + h * 0.38, min(w, h) * 0.27
            c.line(smooth([(mx, my), (mx + 0.02, y0 + h * 0.7), (mx - 0.01, y1)], False), 0.016, LEAF)
            c.shape(
                smooth(
                    [
                        (mx, y0 + h * 0.86), (mx + r * 0.6, y0 + h * 0.66), (mx + r, y0 + h * 0.7),
                        (mx + r * 0.5, y0 + h * 0.85),
                    ]
                ),
                LEAF,
                bevel=0.3,
            )
            for k in range(8):
                c.shape(
                    turned(ellipse(mx, my - r * 0.6, r * 0.27, r * 0.45), k * 45, (mx, my)),
                    tones[0],
                    bevel=0.4, depth=0.02,
                )
            c.shape(ellipse(mx, my, r * 0.3), (232, 180, 70), bevel=0.5)
    c.line(within([(0, 0), (1, 0), (1, 1), (0, 1)]), 0.005, (150, 140, 126), closed=True)


def cushion(c: Canvas, look: Look) -> None:
    """Draw a cushion, square or round, with piping, tassels or a button."""
    cloth, style = (
        look.cloth(look.vary(0.18, 0.34), (look.vary(0, 1) > 0.8 and 45) or 0),
        look.pick("square", "square", "oblong", "round"),
    )
    trim = look.mark if look.chance(0.5) else look.figure
    if style == 3:
        outline = ellipse(0.5, 0.5, 0.42, 0.4)
    else:
        rx, ry = (0.42, 0.42) if style < 2 else (0.45, 0.3)
        outline = smooth(
            [
                (0.5 - rx, 0.5 - ry), (0.5, 0.5 - ry * 0.88), (0.5 + rx, 0.5 - ry), (0.5 + rx * 0.88, 0.5),
                (0.5 + rx, 0.5 + ry), (0.5, 0.5 + ry * 0.88), (0.5 - rx, 0.5 + ry), (0.5 - rx * 0.88, 0.5),
            ]
        )
        if look.chance(0.35):
            for sx in (-1, 1):
                for sy in (-1, 1):
                    for lean in (-0.3, 0, 0.3):
                        c.line(
                            [
                                (0.5 + sx * rx * 0.99, 0.5 + sy * ry * 0.99),
                                (0.5 + sx * (rx + 0.05 + lean * 0.06), 0.5 + sy * (ry + 0.05 - lean * 0.06)),
                            ],
                            0.012,
                            trim,
                        )
    c.shape(outline, cloth, bevel=0.6, depth=0.09)
    c.line(outline, 0.012, trim, closed=True)
    c.soft(ellipse(0.4, 0.37, 0.16, 0.13), (255, 255, 255), 0.28, 0.08)
    c.soft(ellipse(0.62, 0.68, 0.2, 0.15), (16, 10, 20), 0.2, 0.08)
    if style == 3 or look.chance(0.2):
        for k in range(12):
            c.soft(turned(ribbon([(0.5, 0.48), (0.5, 0.2)], [0.02, 0.003]), k * 30), (16, 10, 20), 0.3, 0.01)
        c.shape(ellipse(0.5, 0.5, 0.032), trim, bevel=0.6)
    elif look.pattern == "plain":
        c.emblem(look.emblem, 0.5, 0.5, 0.2, look.figure)
    c.shape(box(0.845, 0.62, 0.88, 0.66), (246, 246, 242), bevel=0.2) if style < 2 else None


def curtain(c: Canvas, look: Look) -> None:
    """Draw a pair of curtains on a rod, hanging straight or tied back."""
    tied, cloth = look.chance(0.5), look.cloth(look.vary(0.13, 0.22))
    rod = (BRASS, (96, 62, 42), (70, 72, 80))[look.pick(0, 1, 2)]
    c.shape(box(0.08, 0.17, 0.92, 0.93), fade((214, 232, 244), (246, 248, 244), 0.2, 0.9), bevel=0, line=0.1)
    for x in (0.36, 0.5, 0.64):
        c.line([(x, 0.17), (x, 0.93)], 0.012, (250, 250, 250))
    c.line([(0.1, 0.52), (0.9, 0.52)], 0.012, (250, 250, 250))
    for side in (np.array, mirrored):
        if tied:
            panel = [
                (0.07, 0.12), (0.48, 0.12), (0.44, 0.3), (0.28, 0.5), (0.18, 0.6), (0.2, 0.7), (0.27, 0.94),
                (0.07, 0.94), (0.08, 0.6),
            ]
            c.shape(
                side(smooth([*panel[:1], *panel[:2], panel[1], *panel[2:7], *panel[6:8], *panel[7:]], steps=6)),
                cloth, bevel=0.35,
            )
            folds = [
                [(0.12 + 0.07 * k, 0.14), (0.12 + 0.045 * k, 0.4), (0.11 + 0.018 * k, 0.62), (0.1 + 0.035 * k, 0.93)]
                for k in range(5)
            ]
        else:
            panel = [(0.05, 0.12), (0.37, 0.12), (0.385, 0.5), (0.4, 0.94), (0.04, 0.94)]
            c.shape(side(panel), cloth, bevel=0.35)
            folds = [[(0.09 + 0.062 * k, 0.13), (0.088 + 0.064 * k, 0.5), (0.083 + 0.07 * k, 0.935)] for k in range(5)]
        for fold in folds:
            c.soft(side(ribbon(smooth(fold, False), [0.008, 0.022])), (18, 12, 26), 0.34, 0.009)
            c.soft(side(ribbon(smooth(moved(fold, 0.025, 0), False), [0.008, 0.02])), (255, 255, 255), 0.2, 0.009)
        if tied:
            c.shape(
                side(ribbon(smooth([(0.07, 0.64), (0.13, 0.66), (0.21, 0.635)], False), 0.035)), look.mark, bevel=0.5
            )
        for k in range(5):
            c.shape(
                side(ellipse(0.085 + 0.07 * k, 0.105, 0.018, 0.026)),
                rod,
                holes=[side(ellipse(0.085 + 0.07 * k, 0.105, 0.01, 0.016))],
                bevel=0.5,
            )
    c.shape(box(0.03, 0.076, 0.97, 0.1, 0.012), fade(lighter(rod, 0.4), darker(rod, 0.3), 0.076, 0.1), bevel=0.3)
    for x in (0.03, 0.97):
        c.shape(ellipse(x, 0.088, 0.03), rod, bevel=0.6, gloss=0.6)


def rug(c: Canvas, look: Look) -> None:
    """Draw a rug seen from above, with borders, a medallion and fringes; oblong or round."""
    trim, dark = look.figure, darker(look.colour, 0.35)
    cloth = look.cloth(look.vary(0.2, 0.32))
    if look.chance(0.22):
        for r, fill in ((0.45, dark), (0.42, trim), (0.37, cloth)):
            c.shape(ellipse(0.5, 0.5, r), fill, bevel=0.15)
        for r in (0.24, 0.12):
            c.shape(star(0.5, 0.5, r, r * 0.8, 12), trim if r > 0.2 else look.mark, bevel=0.15)
            c.shape(star(0.5, 0.5, r * 0.8, r * 0.66, 12), look.colour, bevel=0.1)
        return
    x0, x1, y0, y1 = 0.2, 0.8, 0.08, 0.92
    for k in range(38):
        x = x0 + 0.006 + k * 0.0158
        for y, end in ((y0, y0 - 0.045), (y1, y1 + 0.045)):
            c.line([(x, y), (x + (k % 3 - 1) * 0.004, end)], 0.007, (236, 226, 204))
    c.shape(box(x0, y0, x1, y1), dark, bevel=0.2)
    c.shape(box(x0 + 0.022, y0 + 0.022, x1 - 0.022, y1 - 0.022), trim, bevel=0.1)
    for k in range(14):
        y = y0 + 0.06 + k * (y1 - y0 - 0.12) / 13
        for x in (x0 + 0.046, x1 - 0.046):
            c.emblem(2, x, y, 0.04, dark)
    for k in range(9):
        x = x0 + 0.09 + k * (x1 - x0 - 0.18) / 8
        for y in (y0 + 0.046, y1 - 0.046):
            c.emblem(2, x, y, 0.04, dark)
    c.shape(box(x0 + 0.07, y0 + 0.07, x1 - 0.07, y1 - 0.07), cloth, bevel=0.15)
    c.line(box(x0 + 0.085, y0 + 0.085, x1 - 0.085, y1 - 0.085), 0.008, look.mark, closed=True)
    if look.pattern == "plain" or look.chance(0.4):
        for size, tone in ((0.2, trim), (0.15, dark), (0.1, look.mark)):
            c.shape(
                [(0.5, 0.5 - size * 1.35), (0.5 + size, 0.5), (0.5, 0.5 + size * 1.35), (0.5 - size, 0.5)],
                tone, bevel=0.1,
            )
        for sx in (0, 1):
            for sy in (0, 1):
                corner = np.array([(0.3, 0.18), (0.4, 0.18), (0.3, 0.32)])
                c.shape(corner * (1 - 2 * sx, 1 - 2 * sy) + (sx, sy), trim, bevel=0.1)


def sofa(c: Canvas, look: Look) -> None:
    """Draw a sofa with two or three seats, low or winged, on wooden or metal legs."""
    seats, colour = look.pick(2, 3) + 2, look.colour
    back, arm = look.vary(0.26, 0.34), look.vary(0.09, 0.13)
    leg = (124, 82, 52) if look.chance(0.7) else (60, 60, 66)
    for x in (0.13, 0.83):
        c.shape(
            [
                (x, 0.76), (x + 0.04, 0.76), (x + 0.032 if x < 0.5 else x + 0.05, 0.86),
                (x + 0.01 if x < 0.5 else x + 0.028, 0.86),
            ],
            leg, bevel=0.4,
        )
    c.shape(box(0.1, back, 0.9, 0.7, 0.05), darker(colour, 0.08), bevel=0.5, depth=0.03)
    w = (0.92 - 0.08 - 2 * arm) / seats
    for k in range(seats):
        x = 0.08 + arm + k * w
        c.shape(
            smooth(
                [
                    (x + 0.01, back + 0.03), (x + w / 2, back + 0.01), (x + w - 0.01, back + 0.03),
                    (x + w - 0.004, 0.5), (x + w - 0.01, 0.6), (x + 0.01, 0.6), (x + 0.004, 0.5),
                ],
                steps=6,
            ),
            colour, bevel=0.55, depth=0.045,
        )
        if look.emblem % 3 == 0:
            for bx in (0.3, 0.7):
                c.flat(ellipse(x + w * bx, back + 0.15, 0.008), darker(colour, 0.4))
    c.shape(box(0.1, 0.64, 0.9, 0.78, 0.025), darker(colour, 0.14), bevel=0.4)
    for k in range(seats):
        x = 0.08 + arm + k * w
        c.shape(box(x + 0.003, 0.565, x + w - 0.003, 0.68, 0.035), lighter(colour, 0.06), bevel=0.55, depth=0.028)
    for side in (np.array, mirrored):
        c.shape(side(box(0.06, 0.45, 0.08 + arm, 0.785, 0.045)), lighter(colour, 0.03), bevel=0.6, depth=0.035)
        c.soft(side(box(0.08, 0.46, 0.06 + arm, 0.5, 0.02)), (255, 255, 255), 0.25, 0.015)
    if look.chance(0.7):
        tone = look.mark
        for x, lean in ((0.27, -8), (0.72, 10)):
            pillow = turned(
                smooth(
                    [
                        (x - 0.08, 0.44), (x, 0.452), (x + 0.08, 0.44), (x + 0.07, 0.52), (x + 0.08, 0.6),
                        (x, 0.588), (x - 0.08, 0.6), (x - 0.07, 0.52),
                    ]
                ),
                lean,
                (x, 0.5),
            )
            c.shape(pillow, tone, bevel=0.6, depth=0.03)
            c.emblem(look.emblem, x, 0.52, 0.06, lighter(tone, 0.5))


def chair(c: Canvas, look: Look) -> None:
    """Draw a dining chair: a slatted or upholstered back on four legs."""
    wood, rail = look.textured("wood", look.colour, 0.5, 90), look.textured("wood", look.colour, 0.5)
    seat = ((186, 70, 60), (60, 90, 140), (220, 206, 178), (76, 120, 96), (60, 60, 66))[look.pick(0, 1, 2, 3, 4)]
    style = look.pick("slats", "ladder", "padded")
    for x0, x1, y in ((0.31, 0.325, 0.84), (0.66, 0.675, 0.84)):
        c.shape(ribbon([(x0, 0.6), (x1 - 0.01, y)], [0.04, 0.026]), darker(look.colour, 0.35), bevel=0.4)
    for x in (0.27, 0.73):
        c.shape(
            ribbon(smooth([(x + (0.5 - x) * 0.05, 0.06), (x, 0.3), (x, 0.58)], False), 0.04, rounded=True),
            wood, bevel=0.5, depth=0.012,
        )
    if style == 2:
        c.shape(
            smooth(
                [
                    (0.28, 0.09), (0.5, 0.07), (0.72, 0.09), (0.73, 0.3), (0.7, 0.42), (0.5, 0.44), (0.3, 0.42),
                    (0.27, 0.3),
                ]
            ),
            seat, bevel=0.5, depth=0.05,
        )
    else:
        c.shape(
            smooth([(0.26, 0.07), (0.5, 0.05), (0.74, 0.07), (0.73, 0.15), (0.5, 0.135), (0.27, 0.15)]),
            rail, bevel=0.5, depth=0.015,
        )
        if style == 0:
            for x in (0.37, 0.435, 0.5, 0.565, 0.63):
                c.shape(box(x - 0.016, 0.13, x + 0.016, 0.52, 0.006), wood, bevel=0.5, depth=0.01)
        else:
            for y in (0.22, 0.32, 0.42):
                c.shape(
                    ribbon(smooth([(0.28, y + 0.01), (0.5, y - 0.01), (0.72, y + 0.01)], False), 0.05),
                    rail, bevel=0.5, depth=0.012,
                )
        c.shape(box(0.27, 0.48, 0.73, 0.52, 0.006), rail, bevel=0.4)
    c.shape(
        [(0.3, 0.51), (0.7, 0.51), (0.79, 0.61), (0.21, 0.61)],
        seat if style == 2 or look.chance(0.5) else lighter(look.colour, 0.12),
        bevel=0.45, depth=0.025,
    )
    c.shape(box(0.205, 0.605, 0.795, 0.665, 0.012), rail, bevel=0.5, depth=0.012)
    for x, lean in ((0.235, -0.015), (0.765, 0.015)):
        c.shape(ribbon([(x, 0.64), (x + lean, 0.95)], [0.048, 0.03]), wood, bevel=0.5, depth=0.012)
    c.shape(ribbon([(0.24, 0.8), (0.76, 0.8)], 0.022), darker(look.colour, 0.15), bevel=0.4)


# -- kitchen ----------------------------------------------------------------------------------------------------------


def mug(c: Canvas, look: Look) -> None:
    """Draw a coffee mug, straight, tapered or bellied, printed or with the brand's emblem."""
    taper, w = look.vary(-0.03, 0.05), look.vary(0.24, 0.28)
    top, bottom, x = 0.2, 0.88, 0.44
    inside = look.figure if look.chance(0.4) else (246, 242, 234)
    handle_line = smooth(
        [(x + w - 0.03, 0.36), (x + w + 0.13, 0.33), (x + w + 0.2, 0.5), (x + w + 0.13, 0.68), (x + w - 0.04, 0.72)],
        False,
    )
    c.shape(
        ribbon(handle_line, [0.075, 0.06, 0.075]),
        inside if look.chance(0.3) else look.colour,
        bevel=0.6, depth=0.02, gloss=0.4,
    )
    lower = w - taper
    left = smooth(
        [
            (x - w, top), (x - w + taper * 0.3 - 0.01, (top + bottom) / 2), (x - lower, bottom - 0.05),
            (x - lower + 0.04, bottom),
        ],
        False,
    )
    base = ellipse(x, bottom, lower - 0.04, 0.04, 180, 0)
    body = np.concatenate([left, base[1:-1], mirrored(left, x)[::-1], ellipse(x, top, w, 0.06, 0, 180)[1:-1]])
    c.shape(body, look.cloth(look.vary(0.16, 0.26)), bevel=0.3, depth=0.03)
    if look.chance(0.3):
        c.shape(box(x - w - 0.02, 0.68, x + w + 0.02, 0.95), look.figure, bevel=0.2, atop=True)
    match look.pick("emblem", "word", "none"):
        case 0:
            c.emblem(look.emblem, x - 0.02, 0.52, 0.2, look.mark)
        case 1:
            c.text(look.brand, x - 0.02, 0.52, 0.065, look.mark, width=0.36)
    c.soft(box(x + w * 0.5, top - 0.05, x + w * 1.1, bottom + 0.05), (10, 10, 20), 0.34, 0.045)
    c.soft(box(x - w * 1.1, top, x - w * 0.86, bottom + 0.05), (10, 10, 20), 0.22, 0.025)
    c.soft(box(x - w * 0.66, top + 0.09, x - w * 0.5, bottom - 0.1, 0.02), (255, 255, 255), 0.55, 0.014)
    c.shape(ellipse(x, top, w, 0.062), lighter(look.colour, 0.25), bevel=0.3, gloss=0.3)
    c.shape(ellipse(x, top + 0.004, w - 0.02, 0.05), darker(inside, 0.12), bevel=-0.4, depth=0.02)
    if look.chance(0.5):
        c.shape(ellipse(x, top + 0.02, w - 0.045, 0.034), (92, 54, 32), bevel=0.2)
        c.soft(ellipse(x - 0.06, top + 0.012, 0.07, 0.01), (206, 160, 110), 0.6, 0.01)


def frying_pan(c: Canvas, look: Look) -> None:
    """Draw a frying pan from above, its handle to the lower right."""
    r, grip = look.vary(0.29, 0.335), look.chance(0.5)
    inside: RGB = (52, 54, 60) if look.chance(0.7) else (206, 208, 212)
    cx, cy = 0.04 + r, 0.04 + r
    along = np.array([(cx + r * 0.66, cy + r * 0.66), (0.955, 0.955)])
    c.shape(
        ribbon(along, [0.06, 0.05, 0.075], rounded=True),
        (44, 44, 48) if grip else (150, 98, 58),
        bevel=0.6, depth=0.02, gloss=0.3,
    )
    c.shape(ribbon([along[0], along[0] + (0.05, 0.05)], 0.07), STEEL, bevel=0.5, gloss=0.4)
    c.shape(ellipse(0.925, 0.925, 0.014, 0.014), (250, 250, 250), bevel=0, line=0.5)
    c.shape(ellipse(cx, cy, r), look.colour, bevel=0.6, depth=0.02, gloss=0.5)
    c.shape(ellipse(cx, cy, r - 0.022), metal(inside, (cx - r, cy - r), (cx + r, cy + r)), bevel=-0.6, depth=0.035)
    c.shape(
        ellipse(cx, cy, r - 0.075),
        Gradient(
            ((0, lighter(inside, 0.2)), (0.5, inside), (1, darker(inside, 0.15))), (cx - 0.2, cy - 0.2),
            (cx + 0.2, cy + 0.2),
        ),
        bevel=0.1, line=0.15,
    )
    for k in (0.35, 0.55, 0.75):
        c.line(ellipse(cx, cy, (r - 0.075) * k), 0.003, lighter(inside, 0.14), closed=True)
    for spot in ((cx + r * 0.52, cy + r * 0.74), (cx + r * 0.74, cy + r * 0.52)):
        c.shape(ellipse(*spot, 0.015), STEEL, bevel=0.6, gloss=0.5)
    c.emblem(look.emblem, cx, cy - 0.02, 0.07, lighter(inside, 0.28))
    c.text(look.brand, cx, cy + 0.055, 0.026, lighter(inside, 0.32), width=0.24)
    if look.chance(0.3):
        c.shape(
            smooth(
                [
                    (cx - 0.15, cy + 0.02), (cx - 0.08, cy - 0.14), (cx + 0.08, cy - 0.11),
                    (cx + 0.15, cy + 0.04), (cx + 0.03, cy + 0.14), (cx - 0.1, cy + 0.12),
                ]
            ),
            (252, 250, 242),
            bevel=0.3,
        )
        c.shape(ellipse(cx, cy, 0.06), (248, 188, 50), bevel=0.6, gloss=0.6)


def knife(c: Canvas, look: Look) -> None:
    """Draw a kitchen knife lying at a slant: chef's, santoku or bread knife."""
    style, spin = look.pick("chef", "santoku", "bread"), -32
    depth = (0.1, 0.115, 0.075)[style]
    if style == 0:
        blade = smooth(
            [
                (0.36, 0.455), (0.36, 0.455), (0.7, 0.46), (0.985, 0.515), (0.985, 0.515), (0.85, 0.54),
                (0.6, 0.46 + depth), (0.36, 0.465 + depth), (0.36, 0.465 + depth),
            ],
            steps=6,
        )
    elif style == 1:
        blade = smooth(
            [
                (0.36, 0.45), (0.36, 0.45), (0.75, 0.452), (0.88, 0.48), (0.94, 0.455 + depth),
                (0.94, 0.455 + depth), (0.65, 0.46 + depth), (0.36, 0.455 + depth), (0.36, 0.455 + depth),
            ],
            steps=6,
        )
    else:
        teeth = [(x, 0.47 + depth + (0.012 if k % 2 else 0)) for k, x in enumerate(np.linspace(0.93, 0.37, 30))]
        blade = np.array([(0.36, 0.47), (0.96, 0.47), (0.985, 0.5), *teeth])

    def place(points: Points) -> Outline:
        return turned(points, spin, (0.52, 0.52))

    ends = place([(0.6, 0.45), (0.6, 0.56)])
    c.shape(
        place(blade),
        Gradient(
            (
                (0, (150, 154, 162)), (0.35, (226, 230, 234)), (0.62, (184, 188, 194)), (0.66, (240, 242, 244)),
                (1, (206, 210, 214)),
            ),
            tuple(ends[0]),
            tuple(ends[1]),
        ),
        bevel=0.25, depth=0.01,
    )
    c.shape(place(box(0.335, 0.45, 0.375, 0.47 + depth * 0.8, 0.008)), STEEL, bevel=0.6, gloss=0.5)
    handle = smooth(
        [
            (0.345, 0.455), (0.2, 0.45), (0.06, 0.445), (0.02, 0.48), (0.035, 0.545), (0.1, 0.54),
            (0.22, 0.525), (0.345, 0.535),
        ]
    )
    c.shape(place(handle), look.textured("wood", look.colour, 0.3, spin), bevel=0.6, depth=0.018, gloss=0.2)
    for x in (0.1, 0.19, 0.28):
        c.shape(place(ellipse(x, 0.492, 0.013)), BRASS if look.emblem % 2 else STEEL, bevel=0.5, gloss=0.5)
    mark = point(place([(0.46, 0.505)]))
    c.text(look.brand, *mark, 0.02, (110, 114, 122), angle=spin, width=0.14)


def kettle(c: Canvas, look: Look) -> None:
    """Draw an electric kettle with spout, lid, handle and base."""
    steel, colour = look.chance(0.35), look.colour
    body_colour = STEEL if steel else colour
    dark: RGB = (48, 50, 56) if brightness(colour) > 0.25 or steel else (120, 122, 128)
    belly = look.vary(0.2, 0.25)
    x = 0.46
    c.shape(
        ribbon(
            smooth([(x + 0.13, 0.22), (x + 0.3, 0.2), (x + 0.4, 0.34), (x + 0.38, 0.6), (x + 0.31, 0.72)], False, 14),
            [0.06, 0.075, 0.05],
            rounded=True,
        ),
        dark, bevel=0.6, depth=0.025, gloss=0.4,
    )
    c.shape(
        [(x - 0.14, 0.27), (x - 0.3, 0.22), (x - 0.31, 0.25), (x - 0.17, 0.45)],
        darker(body_colour, 0.12),
        bevel=0.5, depth=0.02, gloss=0.4,
    )
    side = smooth(
        [(x - 0.16, 0.24), (x - 0.185, 0.4), (x - belly, 0.65), (x - belly + 0.005, 0.8), (x - belly + 0.02, 0.83)],
        False,
    )
    body = np.concatenate(
        [
            side,
            ellipse(x, 0.83, belly - 0.02, 0.03, 180, 0)[1:-1],
            mirrored(side, x)[::-1],
            ellipse(x, 0.24, 0.16, 0.028, 0, 180)[1:-1],
        ]
    )
    c.shape(
        body,
        metal(body_colour, (x - belly, 0.5), (x + belly, 0.5))
        if steel
        else cylinder(body_colour, x - belly, x + belly),
        bevel=0.3, gloss=0.3,
    )
    c.shape(
        smooth([(x - 0.162, 0.24), (x - 0.12, 0.18), (x, 0.16), (x + 0.12, 0.18), (x + 0.162, 0.24), (x, 0.262)]),
        dark, bevel=0.5, gloss=0.4,
    )
    c.shape(box(x - 0.035, 0.12, x + 0.035, 0.17, 0.02), dark, bevel=0.5, gloss=0.4)
    c.shape(
        np.concatenate(
            [ellipse(x, 0.86, belly + 0.035, 0.03, 180, 360), ellipse(x, 0.9, belly + 0.045, 0.034, 0, 180)]
        ),
        dark, bevel=0.5, gloss=0.3,
    )
    c.shape(box(x - 0.02, 0.4, x + 0.045, 0.7, 0.02), (206, 226, 236), bevel=-0.4, depth=0.01)
    c.shape(box(x - 0.012, 0.52, x + 0.037, 0.692, 0.012), (120, 182, 216), bevel=0.2, line=0.1)
    c.text(look.brand, x - 0.11, 0.62, 0.026, legible(body_colour), width=0.13)
    c.shape(ellipse(x + 0.375, 0.68, 0.012), (230, 70, 60), bevel=0.4)


def potted_plant(c: Canvas, look: Look) -> None:
    """Draw a plant in a pot: a cactus, broad leaves, or a snake plant."""
    style, w = look.pick("cactus", "broad", "snake"), look.vary(0.17, 0.22)
    green = ((66, 138, 82), (96, 156, 70), (44, 108, 84))[look.pick(0, 1, 2)]
    if style == 0:
        for shape in (box(0.42, 0.14, 0.58, 0.68, 0.08),):
            c.shape(shape, green, bevel=0.6, depth=0.04)
        for side, y in ((np.array, 0.42), (mirrored, 0.34)):
            c.shape(
                side(
                    ribbon(
                        smooth([(0.44, y + 0.08), (0.32, y + 0.08), (0.29, y - 0.02), (0.29, y - 0.1)], False),
                        0.085,
                        rounded=True,
                    )
                ),
                green, bevel=0.6, depth=0.03,
            )
        for x in (0.46, 0.5, 0.54):
            for y in np.arange(0.2, 0.62, 0.06):
                c.line([(x - 0.008, y - 0.01), (x + 0.008, y + 0.01)], 0.004, (240, 240, 214))
        for p in range(6):
            c.shape(turned(ellipse(0.5, 0.105, 0.022, 0.035), p * 60, (0.5, 0.14)), FLOWERS[look.emblem % 5], bevel=0.3)
    elif style == 1:
        for k, lean in enumerate((-72, 70, -48, 46, -22, 24, 0)):
            length = 0.4 + 0.05 * (k % 3)
            leaf = smooth(
                [
                    (0.5, 0.62), (0.43, 0.62 - length * 0.55), (0.47, 0.62 - length * 0.9),
                    (0.5, 0.62 - length), (0.53, 0.62 - length * 0.9), (0.57, 0.62 - length * 0.55),
                ]
            )
            c.shape(turned(leaf, lean, (0.5, 0.66)), mix(green, (130, 180, 90), 0.1 * (k % 3)), bevel=0.45, depth=0.025)
            c.line(turned([(0.5, 0.62), (0.5, 0.65 - length)], lean, (0.5, 0.66)), 0.006, lighter(green, 0.35))
    else:
        for k, (x, lean, h) in enumerate(
            ((0.4, -13, 0.42), (0.6, 12, 0.44), (0.45, -5, 0.54), (0.56, 5, 0.5), (0.5, 0, 0.6))
        ):
            leaf = smooth(
                [
                    (x - 0.03, 0.68), (x - 0.045, 0.68 - h * 0.5), (x, 0.68 - h), (x, 0.68 - h),
                    (x + 0.045, 0.68 - h * 0.5), (x + 0.03, 0.68),
                ]
            )
            c.shape(turned(leaf, lean, (x, 0.68)), (214, 206, 112), bevel=0.4)
            inner = (leaf - (x, 0.5)) * (0.66, 0.96) + (x, 0.505)
            c.shape(turned(inner, lean, (x, 0.68)), mix(green, (30, 70, 50), 0.1 * k), bevel=0.3, line=0)
    c.shape(ellipse(0.5, 0.645, w - 0.01, 0.04), (84, 58, 42), bevel=0.3)
    pot = np.concatenate(
        [
            [(0.5 - w, 0.65)],
            ellipse(0.5, 0.93, w * 0.72, 0.03, 180, 0),
            [(0.5 + w, 0.65)],
            ellipse(0.5, 0.65, w, 0.045, 0, 180),
        ]
    )
    c.shape(pot, cylinder(look.colour, 0.5 - w, 0.5 + w), bevel=0.35, gloss=0.2)
    c.shape(
        np.concatenate([ellipse(0.5, 0.65, w + 0.02, 0.05, 180, 0), ellipse(0.5, 0.7, w + 0.012, 0.05, 0, 180)]),
        cylinder(lighter(look.colour, 0.08), 0.48 - w, 0.52 + w),
        bevel=0.3,
    )
    if look.chance(0.5):
        c.shape(
            ribbon(smooth([(0.5 - w, 0.79), (0.5, 0.835), (0.5 + w, 0.79)], False), 0.045),
            look.figure,
            bevel=0.1, atop=True,
        )
    c.emblem(look.emblem, 0.5, 0.82, 0.06, look.mark)


DRAWINGS: dict[str, Drawing] = {
    "vase": vase,
    "wall_clock": wall_clock,
    "table_lamp": table_lamp,
    "painting": painting,
    "cushion": cushion,
    "curtain": curtain,
    "rug": rug,
    "sofa": sofa,
    "chair": chair,
    "mug": mug,
    "frying_pan": frying_pan,
    "knife": knife,
    "kettle": kettle,
    "potted_plant": potted_plant,
}
