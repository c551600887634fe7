"""Draw accessories: jewellery, shoes, watches, glasses, bags."""

# An outline reads as rows of points, not as a column.
# fmt: off
import numpy as np

from sample_shop.drawing.canvas import Canvas, Gradient, cylinder, metal
from sample_shop.drawing.geometry import box, ellipse, mirrored, moved, point, ribbon, smooth, star, symmetric, turned
from sample_shop.drawing.look import Drawing, Look
from sample_shop.drawing.palette import RGB, brightness, darker, lighter, mix

GEMS: tuple[RGB, ...] = ((206, 40, 66), (38, 92, 196), (28, 148, 96), (226, 232, 240), (150, 80, 180), (240, 170, 60))
STEEL: RGB = (196, 200, 206)
ROMAN = ("XII", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI")


def _gem(c: Canvas, x: float, y: float, r: float, colour: RGB) -> None:
    """Paint a cut stone with its facets."""
    c.shape(star(x, y, r, r * 0.96, 8, -90), colour, bevel=0.6, depth=r * 0.4, gloss=0.5)
    table = star(x, y, r * 0.55, r * 0.53, 4, -90)
    c.flat(table, lighter(colour, 0.35))
    for k in range(0, 360, 45):
        tip = turned([(x, y - r * 0.55), (x, y - r * 0.95)], k, (x, y))
        c.line(tip, r * 0.06, lighter(colour, 0.6))
    c.flat([(x - r * 0.3, y - r * 0.3), (x, y - r * 0.42), (x - r * 0.1, y - r * 0.1)], (255, 255, 255))


def ring(c: Canvas, look: Look) -> None:
    """Draw a finger ring seen from the front: a solitaire, a row of stones, or a signet."""
    colour, style = look.colour, look.pick("solitaire", "row", "signet")
    gem = GEMS[look.pick(*GEMS)]
    thick = look.vary(0.028, 0.05)
    cy, r = 0.6, 0.3
    c.shape(
        ellipse(0.5, cy - 0.006, r - thick * 0.2, r * 0.98),
        darker(colour, 0.45),
        holes=[ellipse(0.5, cy + 0.025, r - thick * 1.1, r * 0.9)],
        bevel=0.2,
    )
    c.shape(
        ellipse(0.5, cy, r),
        metal(colour, (0.25, 0.4), (0.75, 0.85)),
        holes=[ellipse(0.5, cy + 0.008, r - thick, r - thick * 0.9)],
        bevel=0.6, depth=0.012, gloss=0.7,
    )
    if style == 0:
        size = look.vary(0.09, 0.135)
        for side in (np.array, mirrored):
            c.shape(
                side([(0.47, 0.34), (0.5 - size * 0.9, 0.24), (0.5 - size * 0.75, 0.22), (0.495, 0.32)]),
                colour, bevel=0.5, gloss=0.5,
            )
        _gem(c, 0.5, 0.3 - size * 0.55, size, gem)
        if look.chance(0.5):
            for k in range(1, 5):
                for sign in (-1, 1):
                    spot = point(turned([(0.5, cy - r + thick * 0.5)], sign * (18 + 11 * k), (0.5, cy)))
                    c.shape(ellipse(*spot, thick * 0.36), (236, 240, 246), gloss=0.6)
    elif style == 1:
        for k in range(-3, 4):
            spot = point(turned([(0.5, cy - r + 0.005)], k * 17.5, (0.5, cy)))
            _gem(c, *spot, 0.052 - 0.004 * abs(k), gem if k % 2 == 0 else (232, 236, 242))
    else:
        c.shape(
            smooth([(0.36, 0.33), (0.4, 0.2), (0.6, 0.2), (0.64, 0.33), (0.5, 0.37)], steps=8),
            metal(colour, (0.35, 0.2), (0.65, 0.38)),
            bevel=0.5, gloss=0.6,
        )
        c.shape(
            ellipse(0.5, 0.265, 0.085, 0.06),
            darker(gem, 0.2) if look.chance(0.5) else darker(colour, 0.2),
            bevel=0.4, gloss=0.4,
        )
        c.emblem(look.emblem, 0.5, 0.265, 0.07, lighter(colour, 0.6))


def necklace(c: Canvas, look: Look) -> None:
    """Draw a necklace lying in a loop: chain with pendant, pearls, or a festive choker."""
    colour, style = look.colour, look.pick("pendant", "pearls", "choker")
    gem = GEMS[look.pick(*GEMS)]
    loop = smooth(
        [
            (0.42, 0.06), (0.24, 0.16), (0.14, 0.4), (0.22, 0.64), (0.5, 0.78), (0.78, 0.64), (0.86, 0.4),
            (0.76, 0.16), (0.58, 0.06),
        ],
        False,
        14,
    )
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(loop, axis=0), axis=1))])

    def along(count: int) -> np.ndarray:
        at = np.linspace(0, steps[-1], count)
        return np.column_stack([np.interp(at, steps, loop[:, 0]), np.interp(at, steps, loop[:, 1])])

    if style == 1:
        pearl = mix((246, 240, 230), look.colour, look.vary(0.0, 0.35))
        for x, y in along(41):
            size = 0.021 + 0.012 * max(0.0, (y - 0.2)) / 0.6
            c.shape(ellipse(x, y, size), pearl, bevel=0.7, depth=0.014, gloss=0.55, line=0.35)
        c.shape(ellipse(0.5, 0.84, 0.055), pearl, bevel=0.7, gloss=0.7)
        c.shape(ellipse(0.5, 0.785, 0.016), colour, gloss=0.5)
    else:
        c.line(loop, 0.012, darker(colour, 0.4))
        for k, (x, y) in enumerate(along(64)):
            c.shape(ellipse(x, y, 0.011, 0.008, tilt=k * 37), colour, bevel=0.6, depth=0.006, gloss=0.5, line=0.4)
        if style == 0:
            shape = look.pick("drop", "heart", "disc")
            c.shape(ellipse(0.5, 0.795, 0.018), colour, holes=[ellipse(0.5, 0.795, 0.009)], gloss=0.5)
            if shape == 0:
                c.shape(
                    smooth([(0.5, 0.8), (0.5, 0.8), (0.43, 0.9), (0.5, 0.965), (0.57, 0.9)]),
                    metal(colour, (0.42, 0.8), (0.58, 0.96)),
                    gloss=0.6,
                )
                _gem(c, 0.5, 0.9, 0.045, gem)
            elif shape == 1:
                c.shape(
                    smooth(
                        [
                            (0.5, 0.845), (0.45, 0.805), (0.405, 0.85), (0.5, 0.965), (0.5, 0.965),
                            (0.595, 0.85), (0.55, 0.805),
                        ]
                    ),
                    gem if look.chance(0.5) else colour,
                    bevel=0.7, gloss=0.8,
                )
            else:
                c.shape(ellipse(0.5, 0.88, 0.08), metal(colour, (0.42, 0.8), (0.58, 0.96)), gloss=0.5)
                c.emblem(look.emblem, 0.5, 0.88, 0.085, darker(colour, 0.5))
        else:
            spots = along(27)[5:-5]
            for k, (x, y) in enumerate(spots):
                out = (np.array([x, y]) - (0.5, 0.32)) * 0.2
                big = 1 - abs(k - (len(spots) - 1) / 2) / len(spots)
                c.shape(
                    ellipse(x + out[0] * 0.3, y + out[1] * 0.3, 0.036 + 0.02 * big),
                    metal(colour, (x - 0.04, y - 0.04), (x + 0.04, y + 0.04)),
                    bevel=0.6, depth=0.01, gloss=0.5,
                )
                c.shape(
                    ellipse(x + out[0] * 0.3, y + out[1] * 0.3, 0.017 + 0.008 * big),
                    gem if k % 2 else (226, 232, 240),
                    bevel=0.7, depth=0.01, gloss=0.7,
                )
                c.shape(
                    ellipse(x + out[0] * 1.1, y + out[1] * 1.15, 0.014 + 0.012 * big),
                    (244, 238, 226),
                    bevel=0.7, depth=0.01, gloss=0.5,
                )
    for x in (0.42, 0.58):
        c.shape(ellipse(x, 0.06, 0.018), colour, holes=[ellipse(x, 0.06, 0.009)], gloss=0.4)
    c.line([(0.435, 0.055), (0.565, 0.055)], 0.008, darker(colour, 0.2))


def bangle(c: Canvas, look: Look) -> None:
    """Draw one, two or three bangles standing at an angle, engraved, set with stones or enamelled."""
    colour, count = look.colour, look.pick(1, 2, 3) + 1
    gem, style = GEMS[look.pick(*GEMS)], look.pick("engraved", "stones", "enamel", "twisted")
    thick = look.vary(0.07, 0.12) / (1 + 0.22 * (count - 1))
    for k in range(count):
        y = 0.5 + (k - (count - 1) / 2) * thick * 1.35
        c.shape(
            ellipse(0.5, y, 0.42, 0.27),
            darker(colour, 0.35),
            holes=[ellipse(0.5, y - thick * 0.55, 0.37, 0.215)],
            bevel=0.2,
        )
        back = np.concatenate(
            [ellipse(0.5, y - thick, 0.405, 0.25, 180, 360), ellipse(0.5, y - thick * 0.25, 0.365, 0.215, 360, 180)]
        )
        c.shape(back, metal(darker(colour, 0.12), (0.1, 0.3), (0.9, 0.4)), bevel=0.3)
        c.shape(
            np.concatenate([ellipse(0.5, y, 0.42, 0.27, 0, 180), ellipse(0.5, y - thick, 0.415, 0.262, 180, 0)]),
            metal(colour, (0.1, 0.6), (0.9, 0.7)),
            bevel=0.4, gloss=0.5,
        )
        for j in range(15):
            angle = np.radians(8 + j * 164 / 14)
            x, gy = 0.5 + 0.417 * np.cos(angle), y - thick / 2 + 0.266 * np.sin(angle)
            wide = 0.35 + 0.65 * np.sin(angle)
            if style == 1:
                c.shape(
                    ellipse(x, gy, thick * 0.3 * wide, thick * 0.3),
                    gem if j % 2 else (232, 236, 242),
                    bevel=0.7, depth=0.008, gloss=0.7,
                )
            elif style == 2:
                c.shape(
                    ellipse(x, gy, thick * 0.38 * wide, thick * 0.34),
                    (gem, (32, 140, 150), (240, 236, 224))[j % 3],
                    bevel=0.3, depth=0.008, gloss=0.4,
                )
            elif style == 3:
                c.line(
                    [(x - 0.016 * wide, gy + thick * 0.45), (x + 0.016 * wide, gy - thick * 0.45)],
                    0.008,
                    darker(colour, 0.42),
                )
            elif j % 2 == 0:
                c.emblem(2, x, gy, thick * 0.62 * wide + 0.004, darker(colour, 0.45))


def earrings(c: Canvas, look: Look) -> None:
    """Draw a pair of earrings: hoops, drops, or bell-shaped jhumkas."""
    colour, style = look.colour, look.pick("hoops", "drops", "jhumka")
    gem, big = GEMS[look.pick(*GEMS)], look.vary(0.85, 1.1)
    for x in (0.28, 0.72):
        shine = metal(colour, (x - 0.13, 0.3), (x + 0.13, 0.8))
        c.line(
            smooth([(x, 0.2), (x + 0.03, 0.12), (x, 0.07), (x - 0.045, 0.11), (x - 0.04, 0.19)], False),
            0.011,
            darker(colour, 0.15),
        )
        c.shape(ellipse(x, 0.205, 0.026), colour, bevel=0.6, gloss=0.6)
        if style == 0:
            r = 0.19 * big
            c.shape(
                ellipse(x, 0.23 + r, r),
                shine,
                holes=[ellipse(x, 0.225 + r, r - 0.035)],
                bevel=0.6, depth=0.012, gloss=0.7,
            )
            if look.emblem % 2:
                for k in range(-4, 5):
                    spot = point(turned([(x, 0.23 + 2 * r - 0.018)], k * 16, (x, 0.23 + r)))
                    c.shape(ellipse(*spot, 0.014), gem, bevel=0.6, depth=0.006, gloss=0.7)
        elif style == 1:
            c.shape(ellipse(x, 0.26, 0.012, 0.03), shine, gloss=0.4)
            h = 0.3 * big
            c.shape(
                smooth([(x, 0.28), (x, 0.28), (x - 0.1, 0.28 + h * 0.75), (x, 0.3 + h), (x + 0.1, 0.28 + h * 0.75)]),
                shine, gloss=0.6,
            )
            c.shape(
                smooth([(x, 0.36), (x, 0.36), (x - 0.06, 0.27 + h * 0.74), (x, 0.26 + h), (x + 0.06, 0.27 + h * 0.74)]),
                gem, bevel=0.8, gloss=0.8,
            )
            c.shape(ellipse(x, 0.335 + h, 0.03), (244, 238, 228), bevel=0.7, gloss=0.6)
        else:
            c.shape(star(x, 0.27, 0.085, 0.072, 10), shine, gloss=0.5)
            c.shape(ellipse(x, 0.27, 0.042), gem, bevel=0.7, gloss=0.7)
            bell = symmetric(
                smooth([(x, 0.37), (x - 0.06, 0.4), (x - 0.11, 0.5), (x - 0.135 * big, 0.62), (x, 0.645)], False), x
            )
            c.shape(bell, shine, bevel=0.5, gloss=0.5)
            for j, y in enumerate((0.46, 0.53)):
                for k in range(-2, 3):
                    c.flat(
                        ellipse(x + k * (0.03 + 0.008 * j), y + 0.008 * (2 - abs(k)), 0.009),
                        gem if (j + k) % 2 else darker(colour, 0.5),
                    )
            for k in range(-3, 4):
                c.shape(
                    ellipse(x + k * 0.04 * big, 0.665 - 0.003 * k * k, 0.021),
                    (244, 238, 226),
                    bevel=0.7, depth=0.01, gloss=0.5,
                )


# -- shoes, seen from the side, toes to the left ---------------------------------------------------------------------


def sneaker(c: Canvas, look: Look) -> None:
    """Draw a sneaker, low or high, with laces, a toe cap and the brand's emblem."""
    high = look.chance(0.4)
    top = 0.2 if high else 0.33
    sole = (246, 244, 238) if look.chance(0.7) else look.figure
    trim = look.mark
    c.shape(ellipse(0.77, top + 0.03, 0.125, 0.05, tilt=-4), darker(look.colour, 0.6), bevel=0.2)
    tongue = [(0.55, top + 0.12), (0.56, top - 0.05), (0.635, top - 0.075), (0.69, top + 0.03), (0.66, top + 0.16)]
    c.shape(smooth(tongue), lighter(look.colour, 0.12), bevel=0.4)
    upper = smooth(
        [
            (0.08, 0.68), (0.1, 0.585), (0.2, 0.535), (0.34, 0.5), (0.47, 0.42), (0.585, top + 0.07),
            (0.64, top + 0.05), (0.69, top + 0.075), (0.8, top + 0.065), (0.885, top), (0.92, top + 0.02),
            (0.905, 0.5), (0.93, 0.68), (0.93, 0.7), (0.5, 0.72), (0.08, 0.7),
        ],
        steps=6,
    )
    c.shape(upper, look.colour, bevel=0.45, depth=0.04)
    c.shape(
        smooth([(0.07, 0.69), (0.1, 0.59), (0.2, 0.545), (0.285, 0.57), (0.29, 0.69), (0.2, 0.72)]),
        sole if look.chance(0.6) else darker(look.colour, 0.25),
        bevel=0.4, atop=True,
    )
    c.shape(smooth([(0.8, 0.7), (0.805, 0.54), (0.88, 0.47), (0.95, 0.5), (0.96, 0.7)]), trim, bevel=0.3, atop=True)
    c.line(
        smooth([(0.3, 0.7), (0.35, 0.57), (0.5, 0.53), (0.66, 0.4), (0.68, top + 0.1)], False),
        0.005,
        darker(look.colour, 0.4),
    )
    eyelets = (
        [(0.4, 0.475), (0.455, 0.435), (0.51, 0.385), (0.56, 0.33)]
        if not high
        else [(0.4, 0.475), (0.455, 0.43), (0.5, 0.375), (0.54, 0.315), (0.575, 0.26)]
    )
    lace = (250, 250, 248) if brightness(look.colour) < 0.85 else (60, 60, 66)
    for x, y in eyelets:
        c.shape(
            ribbon([(x - 0.012, y - 0.012), (x + 0.06, y + 0.035)], 0.021, rounded=True), lace, bevel=0.4, depth=0.008
        )
        c.flat(ellipse(x + 0.068, y + 0.042, 0.009), darker(look.colour, 0.6))
    c.emblem(look.emblem, 0.71, 0.53, 0.145, trim)
    base = smooth(
        [
            (0.05, 0.7), (0.06, 0.665), (0.1, 0.68), (0.3, 0.7), (0.6, 0.69), (0.93, 0.665), (0.965, 0.69),
            (0.96, 0.77), (0.93, 0.79), (0.5, 0.79), (0.12, 0.79), (0.06, 0.76),
        ],
        steps=6,
    )
    c.shape(base, sole, bevel=0.45, depth=0.02)
    c.line(smooth([(0.06, 0.735), (0.3, 0.75), (0.6, 0.745), (0.96, 0.725)], False), 0.008, trim)
    for k in range(18):
        x = 0.1 + k * 0.048
        c.flat(box(x, 0.778, x + 0.025, 0.8, 0.005), darker(sole, 0.45))
    c.soft(ribbon(smooth([(0.14, 0.6), (0.24, 0.565)], False), 0.03), (255, 255, 255), 0.3, 0.015)


def boot(c: Canvas, look: Look) -> None:
    """Draw a boot: a laced work boot, a chelsea boot or a tall one."""
    style = look.pick("laced", "chelsea", "tall")
    top = (0.17, 0.22, 0.06)[style]
    sole = (58, 46, 40) if look.chance(0.6) else (212, 178, 128)
    c.shape(ellipse(0.7, top + 0.005, 0.155, 0.04), darker(look.colour, 0.6), bevel=0.2)
    upper = smooth(
        [
            (0.07, 0.79), (0.08, 0.68), (0.17, 0.605), (0.34, 0.565), (0.47, 0.5), (0.54, 0.38), (0.55, top),
            (0.55, top), (0.7, top + 0.028), (0.85, top), (0.85, top), (0.865, 0.4), (0.87, 0.55), (0.9, 0.68),
            (0.9, 0.81), (0.9, 0.81), (0.4, 0.815), (0.07, 0.81),
        ],
        steps=6,
    )
    c.shape(
        upper,
        Gradient(((0, lighter(look.colour, 0.12)), (1, darker(look.colour, 0.16))), (0.2, 0.3), (0.9, 0.8)),
        bevel=0.45, depth=0.045, gloss=0.15,
    )
    seam = lighter(look.colour, 0.4) if look.chance(0.5) else darker(look.colour, 0.4)
    if style == 0:
        c.shape(
            smooth([(0.06, 0.82), (0.08, 0.67), (0.18, 0.605), (0.28, 0.64), (0.3, 0.82)]),
            darker(look.colour, 0.18),
            bevel=0.3, atop=True,
        )
        c.shape(box(0.53, top - 0.01, 0.87, top + 0.06, 0.02), darker(look.colour, 0.3), bevel=0.5, atop=True)
        for k in range(6):
            y = 0.25 + k * 0.056
            x = 0.55 - max(0, k - 3) * 0.045
            c.shape(
                ribbon([(x - 0.015, y - 0.006), (x + 0.085, y + 0.02)], 0.019, rounded=True),
                (236, 206, 140) if k % 2 else (216, 180, 110),
                bevel=0.4, depth=0.006,
            )
            c.flat(ellipse(x + 0.092, y + 0.022, 0.011), (190, 150, 80))
        c.stitches(smooth([(0.66, top + 0.08), (0.66, 0.42), (0.56, 0.58), (0.31, 0.66)], False), seam, 0.006)
    elif style == 1:
        c.shape(
            [(0.63, top), (0.76, top), (0.735, 0.5), (0.68, 0.53), (0.645, 0.5)],
            darker(look.colour, 0.55),
            bevel=0.3, atop=True,
        )
        for k in range(5):
            x = 0.65 + 0.023 * k
            c.line([(x, top + 0.03), (x + (0.69 - x) * 0.4, 0.49)], 0.004, darker(look.colour, 0.8))
        c.shape(
            smooth([(0.83, top - 0.07), (0.865, top - 0.07), (0.875, top + 0.06), (0.835, top + 0.06)]),
            darker(look.colour, 0.35),
            bevel=0.4,
        )
    else:
        for y in (0.16, 0.5):
            c.shape(
                ribbon(smooth([(0.54, y + 0.02), (0.7, y + 0.045), (0.87, y + 0.015)], False), 0.04),
                darker(look.colour, 0.3),
                bevel=0.4, atop=True,
            )
            c.shape(
                box(0.66, y + 0.008, 0.73, y + 0.078, 0.012),
                (212, 176, 96),
                holes=[box(0.677, y + 0.025, 0.713, y + 0.06, 0.006)],
                gloss=0.5,
            )
        c.line(smooth([(0.8, 0.08), (0.81, 0.4), (0.84, 0.78)], False), 0.005, darker(look.colour, 0.4))
    heel = (
        box(0.66, 0.8, 0.92, 0.91, 0.012)
        if style != 2
        else np.array([(0.72, 0.8), (0.91, 0.8), (0.895, 0.92), (0.755, 0.92)])
    )
    c.shape(heel, darker(sole, 0.1), bevel=0.4)
    c.shape(
        smooth(
            [
                (0.045, 0.815), (0.07, 0.79), (0.3, 0.8), (0.6, 0.8), (0.915, 0.795), (0.915, 0.795),
                (0.915, 0.84), (0.915, 0.84), (0.6, 0.85), (0.4, 0.88), (0.1, 0.875), (0.05, 0.85),
            ],
            steps=6,
        ),
        sole, bevel=0.4,
    )
    c.emblem(look.emblem, 0.79, 0.68, 0.06, look.mark)
    c.soft(ribbon(smooth([(0.12, 0.69), (0.2, 0.635), (0.33, 0.6)], False), 0.035), (255, 255, 255), 0.35, 0.018)
    c.soft(ribbon(smooth([(0.5, 0.5), (0.58, 0.54), (0.7, 0.56)], False), [0.004, 0.022, 0.004]), (10, 6, 6), 0.3, 0.01)


def heel(c: Canvas, look: Look) -> None:
    """Draw a high-heeled shoe: a pump, perhaps with an ankle strap or a bow; a stiletto or a block heel."""
    block, strap, peep = look.chance(0.4), look.chance(0.45), look.chance(0.3)
    inner = mix(look.colour, (240, 214, 186), 0.75)
    post = [
        (0.79, 0.42), (0.93, 0.4), (0.9, 0.6), (0.9 if block else 0.875, 0.885),
        (0.79 if block else 0.852, 0.885), (0.8 if block else 0.835, 0.62),
    ]
    c.shape(smooth(post, steps=5), darker(look.colour, 0.18), bevel=0.5, gloss=0.3)
    c.shape(box(0.785 if block else 0.846, 0.876, 0.905 if block else 0.88, 0.9, 0.004), (50, 42, 40), bevel=0.2)
    c.shape(
        smooth(
            [
                (0.3, 0.72), (0.52, 0.62), (0.7, 0.42), (0.86, 0.34), (0.93, 0.37), (0.84, 0.48), (0.68, 0.63),
                (0.5, 0.78), (0.3, 0.82),
            ]
        ),
        inner, bevel=0.3,
    )
    upper = smooth(
        [
            (0.05, 0.86), (0.09, 0.77), (0.2, 0.71), (0.31, 0.69), (0.38, 0.76), (0.5, 0.745), (0.66, 0.6),
            (0.8, 0.37), (0.875, 0.265), (0.935, 0.3), (0.945, 0.4), (0.88, 0.47), (0.76, 0.6), (0.62, 0.77),
            (0.48, 0.87), (0.25, 0.885), (0.08, 0.885),
        ],
        steps=7,
    )
    c.shape(upper, look.colour, bevel=0.5, depth=0.03, gloss=0.5)
    c.shape(
        smooth(
            [
                (0.05, 0.87), (0.25, 0.876), (0.47, 0.862), (0.62, 0.762), (0.63, 0.775), (0.48, 0.892),
                (0.25, 0.903), (0.06, 0.897),
            ],
            steps=6,
        ),
        (76, 54, 46),
        bevel=0.2,
    )
    if peep:
        c.shape(ellipse(0.1, 0.83, 0.045, 0.03, tilt=-25), inner, bevel=0.2)
    c.soft(ribbon(smooth([(0.12, 0.79), (0.2, 0.745), (0.29, 0.725)], False), 0.028), (255, 255, 255), 0.6, 0.012)
    c.soft(ribbon(smooth([(0.83, 0.4), (0.89, 0.32)], False), 0.02), (255, 255, 255), 0.4, 0.012)
    if strap:
        c.shape(
            ribbon(
                smooth([(0.905, 0.28), (0.8, 0.2), (0.7, 0.215), (0.68, 0.27), (0.76, 0.3), (0.88, 0.3)], False), 0.026
            ),
            look.colour,
            bevel=0.5, gloss=0.3,
        )
        c.shape(
            box(0.68, 0.21, 0.735, 0.265, 0.008),
            (220, 186, 104),
            holes=[box(0.693, 0.223, 0.722, 0.252, 0.004)],
            gloss=0.5,
        )
    elif look.chance(0.6):
        for side in (np.array, mirrored):
            c.shape(
                turned(side(smooth([(0.5, 0.5), (0.43, 0.46), (0.42, 0.54)])) - (0.18, -0.2), -10, (0.32, 0.7)),
                look.mark,
                bevel=0.5,
            )
        c.shape(ellipse(0.32, 0.7, 0.02), darker(look.mark, 0.2))


def sandal(c: Canvas, look: Look) -> None:
    """Draw a pair of sandals from above, with straps crossed, braided or between the toes."""
    style, strap = look.pick("thong", "slider", "crossed"), look.colour
    bed = (214, 178, 132) if brightness(look.colour) < 0.55 or look.chance(0.3) else (120, 84, 60)
    studs = look.chance(0.5)
    left = smooth(
        [
            (0.27, 0.05), (0.16, 0.1), (0.11, 0.25), (0.14, 0.45), (0.16, 0.6), (0.145, 0.78), (0.18, 0.92),
            (0.27, 0.95), (0.36, 0.91), (0.385, 0.77), (0.38, 0.6), (0.41, 0.42), (0.425, 0.22), (0.375, 0.09),
        ],
        steps=6,
    )
    for side in (np.array, mirrored):
        c.shape(side(left), darker(bed, 0.45), bevel=0.4)
        inner = (left - (0.27, 0.5)) * (0.89, 0.945) + (0.27, 0.497)
        c.shape(side(inner), bed, bevel=0.35, depth=0.03)
        c.stitches(side((left - (0.27, 0.5)) * (0.83, 0.91) + (0.27, 0.497))[::2], darker(bed, 0.35), 0.004)
        c.soft(side(ellipse(0.27, 0.82, 0.07, 0.08)), darker(bed, 0.5), 0.3, 0.03)
        c.soft(side(ellipse(0.28, 0.26, 0.1, 0.1)), darker(bed, 0.5), 0.25, 0.03)
        c.text(look.brand, side([(0.27, 0.83)])[0][0], 0.83, 0.02, darker(bed, 0.65), width=0.13)
        if style == 0:
            for line in ([(0.3, 0.14), (0.2, 0.24), (0.125, 0.42)], [(0.3, 0.14), (0.37, 0.26), (0.41, 0.42)]):
                c.shape(side(ribbon(smooth(line, False), [0.03, 0.055, 0.06])), strap, bevel=0.5, depth=0.015)
            c.shape(side(ellipse(0.3, 0.14, 0.024)), look.mark if studs else darker(strap, 0.2), gloss=0.4)
        elif style == 1:
            for y, h in ((0.27, 0.105), (0.42, 0.09)):
                c.shape(
                    side(
                        ribbon(
                            smooth([(0.095, y + 0.05), (0.2, y - 0.01), (0.34, y - 0.01), (0.435, y + 0.03)], False), h
                        )
                    ),
                    strap, bevel=0.5, depth=0.02,
                )
                c.shape(
                    side(box(0.15, y - 0.03, 0.205, y + 0.04, 0.01)),
                    (214, 178, 100),
                    holes=[side(box(0.165, y - 0.012, 0.19, y + 0.022, 0.004))],
                    gloss=0.5,
                )
        else:
            for line in ([(0.1, 0.42), (0.26, 0.3), (0.425, 0.2)], [(0.115, 0.2), (0.27, 0.3), (0.42, 0.42)]):
                c.shape(side(ribbon(smooth(line, False), 0.075)), strap, bevel=0.5, depth=0.018)
            c.shape(
                side(ribbon(smooth([(0.15, 0.66), (0.27, 0.61), (0.385, 0.66)], False), 0.05)),
                strap, bevel=0.5, depth=0.014,
            )
            if studs:
                c.shape(side(star(0.268, 0.3, 0.045, 0.03, 8)), look.mark, bevel=0.5, gloss=0.5)


# -- watches ----------------------------------------------------------------------------------------------------------


def _straps(c: Canvas, look: Look, width: float, at_metal: RGB | None) -> None:
    """Paint a wrist band above and below the middle, of leather or of metal links."""
    for upper in (True, False):
        flip = (lambda p: np.asarray(p) * (1, -1) + (0, 1)) if upper else np.asarray
        end = 0.965
        band = flip(
            smooth(
                [
                    (0.5 - width, 0.66), (0.5 - width * 0.84, 0.8), (0.5 - width * 0.72, end),
                    (0.5 + width * 0.72, end), (0.5 + width * 0.84, 0.8), (0.5 + width, 0.66),
                ],
                False,
            )
        )
        if at_metal:
            c.shape(band, metal(at_metal, (0.5 - width, 0.8), (0.5 + width, 0.8)), bevel=0.3)
            for k in range(9):
                y = flip([(0, 0.68 + 0.033 * k)])[0][1]
                c.line([(0.5 - width, y), (0.5 + width, y)], 0.005, darker(at_metal, 0.55))
            for x in (-0.4, 0.4):
                c.line(
                    [flip([(0.5 + x * width, 0.66)])[0], flip([(0.5 + x * width * 0.75, end)])[0]],
                    0.004,
                    darker(at_metal, 0.5),
                )
        else:
            c.shape(band, look.colour, bevel=0.45, depth=0.02)
            for sign in (-1, 1):
                c.stitches(
                    flip([(0.5 + sign * width * 0.82, 0.68), (0.5 + sign * width * 0.58, end - 0.015)]),
                    lighter(look.colour, 0.5),
                    0.004,
                )
            if not upper:
                for k in range(4):
                    c.flat(ellipse(0.5, 0.8 + 0.036 * k, 0.008), darker(look.colour, 0.7))


def _dial(c: Canvas, look: Look, r: float, ry: float, dial: RGB, markers: int) -> None:
    ink = (250, 250, 250) if brightness(dial) < 0.5 else (40, 42, 50)
    for k in range(12):
        spot = np.array([np.sin(np.radians(k * 30)), -np.cos(np.radians(k * 30))])
        if r != ry:
            spot = spot / np.abs(spot).max() * 0.93
        at, to = spot * (r * 0.74, ry * 0.74) + 0.5, spot * (r * 0.88, ry * 0.88) + 0.5
        if markers == 0:
            c.line([at, to], 0.013 if k % 3 == 0 else 0.007, ink)
        elif markers == 1:
            c.flat(ellipse(*point([spot * (r * 0.82, ry * 0.82) + 0.5]), 0.011 if k % 3 == 0 else 0.006), ink)
        else:
            hour = ROMAN[k] if markers == 2 else str(k or 12)
            c.text(hour, *point([spot * (r * 0.79, ry * 0.79) + 0.5]), 0.026, ink)
    c.text(look.brand, 0.5, 0.5 - ry * 0.36, 0.022, ink, width=r)
    c.emblem(look.emblem, 0.5, 0.5 - ry * 0.52, 0.03, ink)
    for angle, length, width in ((-58, 0.48, 0.016), (62, 0.72, 0.011)):
        c.line(turned([(0.5, 0.5 + r * 0.08), (0.5, 0.5 - r * length)], angle), width, ink)
    c.line(
        turned([(0.5, 0.5 + r * 0.2), (0.5, 0.5 - r * 0.78)], 150),
        0.005,
        look.accent if abs(brightness(look.accent) - brightness(dial)) > 0.2 else (220, 60, 60),
    )
    c.flat(ellipse(0.5, 0.5, 0.014), ink)


DIALS: tuple[RGB, ...] = ((246, 244, 238), (36, 38, 46), (32, 54, 96), (226, 214, 192), (40, 84, 72), (120, 40, 48))
CASES: tuple[RGB, ...] = ((198, 202, 208), (222, 178, 84), (214, 154, 134), (74, 78, 86))


def round_watch(c: Canvas, look: Look) -> None:
    """Draw an analog wrist watch with a round case."""
    case, dial = CASES[look.pick(*CASES)], DIALS[look.pick(*DIALS)]
    linked, markers, r = look.chance(0.35), look.pick(0, 1, 2, 3), look.vary(0.235, 0.285)
    chrono = look.chance(0.3)
    _straps(c, look, r * 0.62, case if linked else None)
    for x in (-0.5, 0.5):
        for y in (-1, 1):
            c.shape(
                box(
                    0.5 + x * r * 1.05 - 0.025,
                    0.5 + y * r * 0.92 - 0.06,
                    0.5 + x * r * 1.05 + 0.025,
                    0.5 + y * r * 0.92 + 0.06,
                    0.015,
                ),
                case, bevel=0.5, gloss=0.4,
            )
    c.shape(box(0.5 + r, 0.475, 0.5 + r + 0.045, 0.525, 0.012), case, gloss=0.4)
    c.shape(ellipse(0.5, 0.5, r + 0.02), metal(case, (0.5 - r, 0.3), (0.5 + r, 0.7)), bevel=0.6, gloss=0.6)
    c.shape(ellipse(0.5, 0.5, r - 0.018), darker(dial, 0.25), bevel=0)
    c.shape(
        ellipse(0.5, 0.5, r - 0.026),
        Gradient(((0, lighter(dial, 0.16)), (1, darker(dial, 0.12))), (0.35, 0.3), (0.65, 0.7)),
        bevel=0, line=0,
    )
    if chrono:
        for across, down in ((-0.42, 0.05), (0.42, 0.05), (0.0, 0.45)):
            spot = ellipse(0.5 + across * r, 0.5 + down * r, r * 0.2)
            c.shape(spot, mix(dial, (128, 128, 136), 0.3), bevel=-0.3, depth=0.01)
    _dial(c, look, r - 0.02, r - 0.02, dial, markers)
    c.glass(
        smooth(
            [
                (0.5 - r * 0.75, 0.5 - r * 0.1), (0.5 - r * 0.45, 0.5 - r * 0.65),
                (0.5 + r * 0.25, 0.5 - r * 0.8), (0.5 - r * 0.3, 0.5 - r * 0.25),
            ]
        ),
        (255, 255, 255),
        0.14,
    )


def square_watch(c: Canvas, look: Look) -> None:
    """Draw an analog wrist watch with a square or oblong case."""
    case, dial = CASES[look.pick(*CASES)], DIALS[look.pick(*DIALS)]
    linked, markers = look.chance(0.3), look.pick(0, 1, 2, 3)
    rx, ry = look.vary(0.18, 0.225), look.vary(0.22, 0.255)
    _straps(c, look, rx * 0.78, case if linked else None)
    c.shape(box(0.5 + rx, 0.475, 0.5 + rx + 0.05, 0.525, 0.012), case, gloss=0.4)
    c.shape(
        box(0.5 - rx - 0.02, 0.48 - ry, 0.52 + rx, 0.52 + ry, 0.045),
        metal(case, (0.5 - rx, 0.3), (0.5 + rx, 0.7)),
        bevel=0.6, gloss=0.6,
    )
    c.shape(
        box(0.5 - rx + 0.012, 0.512 - ry, 0.488 + rx, 0.488 + ry, 0.02),
        Gradient(((0, lighter(dial, 0.16)), (1, darker(dial, 0.12))), (0.35, 0.3), (0.65, 0.7)),
        bevel=-0.3, depth=0.012,
    )
    _dial(c, look, rx - 0.01, ry - 0.01, dial, markers)
    c.glass(
        [(0.5 - rx * 0.8, 0.5), (0.5 - rx * 0.8, 0.5 - ry * 0.85), (0.5 + rx * 0.5, 0.5 - ry * 0.85)],
        (255, 255, 255),
        0.14,
    )


def digital_watch(c: Canvas, look: Look) -> None:
    """Draw a digital sports watch with a grey display."""
    w = look.vary(0.19, 0.23)
    lcd = (178, 196, 170) if look.chance(0.6) else (40, 50, 48)
    ink = (34, 44, 40) if brightness(lcd) > 0.5 else (120, 236, 200)
    for flip in (np.asarray, lambda p: np.asarray(p) * (1, -1) + (0, 1)):
        c.shape(
            flip(
                smooth(
                    [
                        (0.5 - w * 0.85, 0.68), (0.5 - w * 0.62, 0.8), (0.5 - w * 0.55, 0.965),
                        (0.5 + w * 0.55, 0.965), (0.5 + w * 0.62, 0.8), (0.5 + w * 0.85, 0.68),
                    ],
                    False,
                )
            ),
            look.colour,
            bevel=0.5,
        )
        for k in range(5):
            c.shape(
                flip(box(0.5 - w * 0.32, 0.76 + 0.04 * k, 0.5 + w * 0.32, 0.775 + 0.04 * k, 0.006)),
                darker(look.colour, 0.45),
                bevel=0.2,
            )
    for x in (-1, 1):
        for y in (0.4, 0.6):
            c.shape(
                box(0.5 + x * (w + 0.035) - 0.02, y - 0.03, 0.5 + x * (w + 0.035) + 0.02, y + 0.03, 0.012),
                STEEL,
                gloss=0.4,
            )
    rim = 0.09 if look.chance(0.5) else 0.05
    c.shape(box(0.48 - w, 0.26, 0.52 + w, 0.74, rim), look.colour, bevel=0.6, depth=0.035, gloss=0.3)
    c.shape(box(0.5 - w + 0.015, 0.3, 0.485 + w, 0.7, 0.05), look.mark, bevel=0.3)
    c.shape(box(0.5 - w + 0.03, 0.32, 0.47 + w, 0.68, 0.035), (38, 40, 46), bevel=0.2)
    c.shape(box(0.5 - w + 0.05, 0.42, 0.45 + w, 0.6, 0.015), lcd, bevel=-0.4, depth=0.02)
    c.text(f"{look.pick(*range(12)) + 1:02d}:{look.pick(*range(60)):02d}", 0.5, 0.515, 0.085, ink, width=w * 1.45)
    c.text(look.brand, 0.5, 0.37, 0.028, (236, 236, 236), width=w * 1.3)
    c.text("WATER RESIST", 0.5, 0.642, 0.018, (200, 200, 204), width=w * 1.2)


# -- glasses ----------------------------------------------------------------------------------------------------------


def _glasses(
    c: Canvas, look: Look, lens: np.ndarray, frame: RGB, thick: float, glass: RGB, strength: float, tint: RGB | None
) -> None:
    """Paint a pair of glasses from the front, its temples folded back; `lens` is the left one."""
    for side in (np.array, mirrored):
        x0, y0 = lens[:, 0].min(), lens[:, 1].min() + 0.045
        c.shape(
            side(
                ribbon(
                    smooth(
                        [
                            (x0 + 0.01, y0 + 0.01), (x0 - 0.025, y0 - 0.03), (x0 + 0.05, y0 - 0.12),
                            (x0 + 0.14, y0 - 0.15),
                        ],
                        False,
                    ),
                    [thick * 1.1, thick * 0.8, thick * 0.6],
                )
            ),
            darker(frame, 0.25),
            bevel=0.4,
        )
        c.glass(side(lens), glass, strength)
        if tint is not None:
            c.soft(side(moved(lens, 0, 0.08)), tint, 0.55, 0.06)
        centre = lens.mean(0)
        streak = np.array([(-0.1, 0.05), (-0.02, -0.075), (0.02, -0.075), (-0.06, 0.06)]) * 0.85 + side([centre])[0]
        c.glass(streak, (255, 255, 255), 0.3, atop=True)
        outer = (lens - centre) * (1 + thick / np.ptp(lens[:, 0]) * 1.6, 1 + thick / np.ptp(lens[:, 1]) * 1.6) + centre
        c.shape(side(outer), frame, holes=[side(lens)], bevel=0.6, depth=0.008, gloss=0.6)


def spectacles(c: Canvas, look: Look) -> None:
    """Spectacles: round, oblong or cat's eye, with clear lenses."""
    style, thick = look.pick("round", "oblong", "cat", "square"), look.vary(0.016, 0.034)
    if style == 0:
        lens = ellipse(0.27, 0.5, 0.16, 0.155)
    elif style == 1:
        lens = box(0.1, 0.405, 0.445, 0.6, 0.07)
    elif style == 2:
        lens = smooth(
            [(0.085, 0.37), (0.2, 0.385), (0.42, 0.42), (0.44, 0.52), (0.36, 0.61), (0.22, 0.62), (0.12, 0.53)]
        )
    else:
        lens = box(0.115, 0.37, 0.435, 0.64, 0.06)
    c.line(
        smooth([(lens[:, 0].max(), 0.47), (0.5, 0.43), (1 - lens[:, 0].max(), 0.47)], False), thick * 0.9, look.colour
    )
    _glasses(c, look, lens, look.colour, thick, (206, 224, 234), 0.34, None)
    for side in (np.array, mirrored):
        c.flat(side(ellipse(lens[:, 0].min() - thick * 0.1, 0.43, 0.008)), look.mark)


def wayfarer(c: Canvas, look: Look) -> None:
    """Sunglasses with a thick, square-browed frame and dark lenses."""
    glass = ((38, 40, 46), (92, 62, 44), (44, 66, 60), (40, 64, 120))[look.pick(0, 1, 2, 3)]
    drop = look.vary(0.0, 0.03)
    lens = smooth(
        [
            (0.1, 0.385), (0.26, 0.385), (0.43, 0.41), (0.44, 0.47), (0.39, 0.6 + drop), (0.25, 0.63 + drop),
            (0.14, 0.59 + drop), (0.1, 0.46),
        ]
    )
    c.shape(ribbon(smooth([(0.42, 0.43), (0.5, 0.415), (0.58, 0.43)], False), 0.055), look.colour, bevel=0.5, gloss=0.5)
    _glasses(
        c, look, lens, look.colour,
        look.vary(0.034, 0.05),
        glass,
        0.93,
        lighter(glass, 0.45) if look.chance(0.6) else None,
    )
    for side in (np.array, mirrored):
        c.shape(
            side(smooth([(0.05, 0.35), (0.1, 0.335), (0.12, 0.38), (0.085, 0.42)])), look.colour, bevel=0.4, gloss=0.5
        )
        c.flat(side(ellipse(0.09, 0.375, 0.012, 0.006, tilt=20)), (236, 236, 236))


def aviator(c: Canvas, look: Look) -> None:
    """Aviator sunglasses: thin metal, drop-shaped lenses, two bridges."""
    glass = ((60, 76, 62), (98, 70, 48), (52, 56, 66), (60, 98, 150), (156, 92, 120))[look.pick(0, 1, 2, 3, 4)]
    lens = smooth(
        [
            (0.105, 0.39), (0.26, 0.36), (0.425, 0.395), (0.44, 0.47), (0.4, 0.585), (0.29, 0.67),
            (0.17, 0.645), (0.1, 0.51),
        ]
    )
    c.line([(0.4, 0.385), (0.6, 0.385)], 0.014, darker(look.colour, 0.15))
    c.line(smooth([(0.435, 0.46), (0.5, 0.43), (0.565, 0.46)], False), 0.014, look.colour)
    _glasses(
        c, look, lens, look.colour,
        look.vary(0.012, 0.018),
        glass,
        0.88,
        lighter(glass, 0.6) if look.chance(0.75) else None,
    )
    for side in (np.array, mirrored):
        c.shape(side(ellipse(0.452, 0.53, 0.012, 0.03, tilt=15)), (236, 236, 230), bevel=0.4)


# -- bags -------------------------------------------------------------------------------------------------------------

GOLD: RGB = (218, 182, 98)


def handbag(c: Canvas, look: Look) -> None:
    """Draw a handbag: a tote, a flap bag or a rounded bowling bag."""
    style, gold = look.pick("tote", "flap", "bowling"), GOLD if look.chance(0.65) else STEEL
    colour, handle = look.colour, darker(look.colour, 0.3) if look.chance(0.5) else look.figure
    if style == 1:
        c.shape(
            ribbon(smooth([(0.17, 0.5), (0.2, 0.22), (0.5, 0.06), (0.8, 0.22), (0.83, 0.5)], False, 16), 0.02),
            gold if look.chance(0.5) else handle,
            bevel=0.5, gloss=0.4,
        )
    for offset in (-0.02, 0.02) if style != 1 else ():
        c.shape(
            ribbon(
                smooth(
                    [
                        (0.32 + offset, 0.5), (0.33 + offset, 0.26), (0.5 + offset, 0.1), (0.67 + offset, 0.26),
                        (0.68 + offset, 0.5),
                    ],
                    False,
                    14,
                ),
                0.034,
            ),
            darker(handle, 0.25 if offset < 0 else 0),
            bevel=0.5, depth=0.012,
        )
    if style == 0:
        body = smooth(
            [
                (0.13, 0.4), (0.13, 0.4), (0.11, 0.7), (0.16, 0.9), (0.16, 0.9), (0.5, 0.925), (0.84, 0.9),
                (0.84, 0.9), (0.89, 0.7), (0.87, 0.4), (0.87, 0.4), (0.5, 0.415),
            ]
        )
    elif style == 1:
        body = box(0.12, 0.42, 0.88, 0.9, 0.06)
    else:
        body = smooth(
            [
                (0.09, 0.84), (0.1, 0.6), (0.26, 0.42), (0.5, 0.38), (0.74, 0.42), (0.9, 0.6), (0.91, 0.84),
                (0.82, 0.91), (0.5, 0.92), (0.18, 0.91),
            ]
        )
    c.shape(
        body,
        Gradient(((0, lighter(colour, 0.14)), (1, darker(colour, 0.18))), (0.2, 0.4), (0.8, 0.95)),
        bevel=0.45, depth=0.05, gloss=0.15,
    )
    thread = lighter(colour, 0.5) if brightness(colour) < 0.6 else darker(colour, 0.4)
    if style == 0:
        c.stitches([(0.145, 0.435), (0.855, 0.435)], thread)
        for x in (0.32, 0.68):
            c.shape(box(x - 0.03, 0.4, x + 0.03, 0.53, 0.02), handle, bevel=0.4)
            c.shape(ellipse(x, 0.5, 0.012), gold, gloss=0.5)
        c.shape(box(0.4, 0.62, 0.6, 0.7, 0.012), darker(colour, 0.22), bevel=0.3)
    elif style == 1:
        flap = smooth(
            [
                (0.11, 0.42), (0.11, 0.42), (0.12, 0.6), (0.3, 0.7), (0.5, 0.72), (0.7, 0.7), (0.88, 0.6),
                (0.89, 0.42), (0.89, 0.42), (0.5, 0.405),
            ]
        )
        c.soft(moved(flap, 0, 0.02), (10, 6, 10), 0.4, 0.015)
        c.shape(flap, lighter(colour, 0.06), bevel=0.45, depth=0.03)
        c.stitches(smooth([(0.135, 0.6), (0.3, 0.68), (0.5, 0.7), (0.7, 0.68), (0.865, 0.6)], False), thread)
        c.shape(ellipse(0.5, 0.69, 0.05), metal(gold, (0.45, 0.64), (0.55, 0.74)), gloss=0.6)
        c.emblem(look.emblem, 0.5, 0.69, 0.05, darker(gold, 0.55))
    else:
        c.line(
            smooth([(0.14, 0.57), (0.27, 0.445), (0.5, 0.41), (0.73, 0.445), (0.86, 0.57)], False),
            0.016,
            darker(colour, 0.5),
        )
        c.stitches(smooth([(0.14, 0.57), (0.27, 0.445), (0.5, 0.41), (0.73, 0.445), (0.86, 0.57)], False), gold, 0.007)
        for x in (0.24, 0.7):
            c.shape(box(x, 0.42, x + 0.06, 0.93, 0.004), handle, bevel=0.3, atop=True)
    if style != 1:
        c.text(
            look.brand, 0.5, 0.66, 0.032,
            gold if brightness(colour) < 0.6 else darker(colour, 0.6),
            width=0.19 if style == 0 else 0.34,
        )
    if look.chance(0.4):
        c.line([(0.37, 0.42), (0.33, 0.56)], 0.008, gold)
        c.shape(smooth([(0.33, 0.55), (0.29, 0.64), (0.3, 0.72), (0.36, 0.72), (0.365, 0.63)]), look.mark, bevel=0.5)


def backpack(c: Canvas, look: Look) -> None:
    """Draw a backpack with a front pocket, zips and straps."""
    colour, trim = look.colour, look.figure if look.chance(0.55) else darker(look.colour, 0.3)
    leather = (142, 92, 56)
    c.shape(
        ribbon(smooth([(0.42, 0.1), (0.44, 0.03), (0.56, 0.03), (0.58, 0.1)], False), 0.028),
        darker(trim, 0.2),
        bevel=0.5,
    )
    for side in (np.array, mirrored):
        c.shape(
            side(smooth([(0.2, 0.3), (0.1, 0.45), (0.11, 0.75), (0.2, 0.85), (0.24, 0.7)])),
            darker(colour, 0.35),
            bevel=0.5,
        )
    body = symmetric(
        smooth([(0.5, 0.07), (0.34, 0.09), (0.22, 0.2), (0.185, 0.45), (0.19, 0.8), (0.24, 0.93), (0.5, 0.945)], False)
    )
    c.shape(body, colour, bevel=0.5, depth=0.055)
    c.line(
        symmetric(smooth([(0.205, 0.5), (0.235, 0.26), (0.34, 0.15), (0.5, 0.13)], False)[::-1])[::1],
        0.012,
        darker(colour, 0.5),
    )
    c.shape(
        symmetric(smooth([(0.5, 0.5), (0.28, 0.51), (0.245, 0.56), (0.25, 0.84), (0.3, 0.89), (0.5, 0.895)], False)),
        trim, bevel=0.45, depth=0.035,
    )
    c.line([(0.27, 0.575), (0.73, 0.575)], 0.014, darker(trim, 0.45))
    c.stitches([(0.27, 0.575), (0.73, 0.575)], STEEL, 0.006, 0.008)
    c.shape(box(0.3, 0.565, 0.325, 0.64, 0.008), leather, bevel=0.4)
    if look.chance(0.5):
        for x in (0.36, 0.64):
            c.shape(box(x - 0.025, 0.16, x + 0.025, 0.46, 0.008), leather, bevel=0.4)
            c.shape(
                box(x - 0.035, 0.39, x + 0.035, 0.45, 0.01),
                GOLD,
                holes=[box(x - 0.02, 0.405, x + 0.02, 0.435, 0.004)],
                gloss=0.5,
            )
    else:
        c.line([(0.28, 0.33), (0.72, 0.33)], 0.012, darker(colour, 0.5))
        c.shape(box(0.68, 0.325, 0.7, 0.38, 0.006), STEEL, gloss=0.4)
    c.shape(box(0.41, 0.66, 0.59, 0.78, 0.015), leather if look.chance(0.5) else darker(trim, 0.3), bevel=0.35)
    c.emblem(look.emblem, 0.5, 0.7, 0.045, (244, 236, 220))
    c.text(look.brand, 0.5, 0.752, 0.022, (244, 236, 220), width=0.16)
    for side in (np.array, mirrored):
        c.shape(side(smooth([(0.185, 0.6), (0.13, 0.64), (0.135, 0.86), (0.2, 0.9)])), darker(colour, 0.18), bevel=0.4)


def wallet(c: Canvas, look: Look) -> None:
    """Draw a wallet: a closed bifold with cards looking out, or a long one with a clasp."""
    colour, thread = (
        look.colour,
        lighter(look.colour, 0.5) if brightness(look.colour) < 0.6 else darker(look.colour, 0.4),
    )
    if look.chance(0.55):
        for k, card in enumerate(((70, 120, 190), (226, 176, 70), (206, 214, 220))):
            c.shape(box(0.17 + 0.03 * k, 0.16 + 0.035 * k, 0.77 + 0.03 * k, 0.5, 0.02), card, bevel=0.3)
        c.shape(box(0.09, 0.28, 0.91, 0.84, 0.04), darker(colour, 0.35), bevel=0.4)
        c.shape(
            box(0.08, 0.3, 0.9, 0.86, 0.04),
            Gradient(((0, lighter(colour, 0.16)), (1, darker(colour, 0.14))), (0.1, 0.3), (0.9, 0.9)),
            bevel=0.45, depth=0.03, gloss=0.15,
        )
        c.stitches(box(0.105, 0.325, 0.875, 0.835, 0.03)[np.r_[0:36, 0]], thread, 0.005)
        c.soft(ribbon([(0.13, 0.4), (0.13, 0.78)], 0.05), (0, 0, 0), 0.2, 0.02)
        if look.chance(0.5):
            c.shape(box(0.7, 0.5, 0.92, 0.64, 0.05), darker(colour, 0.2), bevel=0.4)
            c.shape(ellipse(0.77, 0.57, 0.028), GOLD, gloss=0.6)
    else:
        c.shape(box(0.06, 0.27, 0.94, 0.8, 0.06), colour, bevel=0.45, depth=0.035, gloss=0.2)
        flap = smooth(
            [
                (0.06, 0.3), (0.08, 0.26), (0.08, 0.26), (0.92, 0.26), (0.92, 0.26), (0.94, 0.3), (0.94, 0.5),
                (0.7, 0.55), (0.5, 0.565), (0.3, 0.55), (0.06, 0.5),
            ],
            steps=6,
        )
        c.shape(flap, lighter(colour, 0.08), bevel=0.45, depth=0.025)
        c.stitches(smooth([(0.08, 0.49), (0.3, 0.53), (0.5, 0.545), (0.7, 0.53), (0.92, 0.49)], False), thread)
        c.shape(ellipse(0.5, 0.55, 0.045), metal(GOLD, (0.46, 0.5), (0.54, 0.6)), gloss=0.6)
    c.text(look.brand, 0.47, 0.7, 0.045, thread, width=0.3)
    c.emblem(look.emblem, 0.25, 0.7, 0.06, thread)


def belt(c: Canvas, look: Look) -> None:
    """Draw a belt rolled up, its buckle in front."""
    colour, steel = look.colour, GOLD if look.chance(0.4) else STEEL
    thread = lighter(colour, 0.45) if brightness(colour) < 0.6 else darker(colour, 0.4)
    h = look.vary(0.14, 0.19)
    for k, (rx, ry) in enumerate(((0.4, 0.2), (0.33, 0.155), (0.26, 0.11))):
        y = 0.42
        band = np.concatenate([ellipse(0.5, y, rx, ry, 180, 360), ellipse(0.5, y + h * 0.85, rx, ry, 360, 180)])
        c.shape(band, darker(colour, 0.3 + 0.1 * k), bevel=0.3)
    for rx, ry in ((0.24, 0.1), (0.32, 0.15), (0.41, 0.205)):
        y = 0.42
        band = np.concatenate([ellipse(0.5, y, rx, ry, 180, 0), ellipse(0.5, y + h, rx, ry, 0, 180)])
        c.shape(band, cylinder(colour, 0.5 - rx, 0.5 + rx), bevel=0.35, depth=0.015)
    c.stitches(ellipse(0.5, 0.435, 0.408, 0.205, 176, 4), thread)
    c.stitches(ellipse(0.5, 0.405 + h, 0.408, 0.205, 176, 4), thread)
    tail = [(0.5, 0.625 + h / 2), (0.62, 0.618 + h / 2), (0.75, 0.59 + h / 2), (0.9, 0.53 + h / 2)]
    c.shape(ribbon(smooth(tail, False), [h, h, h, h * 0.9], rounded=True), colour, bevel=0.4, depth=0.02)
    for x, y in ((0.68, 0.607), (0.75, 0.59), (0.82, 0.565)):
        c.flat(ellipse(x, y + h / 2, 0.01), darker(colour, 0.7))
    y = 0.625 + h / 2
    c.shape(
        box(0.34, y - h * 0.72, 0.56, y + h * 0.72, 0.03),
        metal(steel, (0.34, y - h), (0.56, y + h)),
        holes=[box(0.375, y - h * 0.5, 0.525, y + h * 0.5, 0.015)],
        bevel=0.6, gloss=0.7,
    )
    c.shape(ribbon([(0.36, y), (0.575, y)], 0.024, rounded=True), steel, bevel=0.6, gloss=0.6)
    c.shape(box(0.6, y - h * 0.56, 0.645, y + h * 0.54, 0.012), darker(colour, 0.15), bevel=0.5)
    c.text(look.brand, 0.24, y - 0.035, 0.026, thread, angle=14, width=0.14)


DRAWINGS: dict[str, Drawing] = {
    "ring": ring,
    "necklace": necklace,
    "bangle": bangle,
    "earrings": earrings,
    "sneaker": sneaker,
    "boot": boot,
    "heel": heel,
    "sandal": sandal,
    "round_watch": round_watch,
    "square_watch": square_watch,
    "digital_watch": digital_watch,
    "spectacles": spectacles,
    "wayfarer": wayfarer,
    "aviator": aviator,
    "handbag": handbag,
    "backpack": backpack,
    "wallet": wallet,
    "belt": belt,
}
