"""Draw phones, computers, cameras and car accessories."""

# An outline reads as rows of points, not as a column.
# fmt: off
import numpy as np

from sample_shop.drawing.canvas import Canvas, Gradient, cylinder, fade, metal
from sample_shop.drawing.geometry import box, ellipse, mirrored, moved, point, ribbon, smooth, star, symmetric, turned
from sample_shop.drawing.look import Drawing, Look
from sample_shop.drawing.palette import RGB, brightness, darker, legible, lighter, mix

STEEL: RGB = (200, 204, 210)
INK: RGB = (36, 37, 43)
WALLPAPERS: tuple[tuple[RGB, RGB], ...] = (
    ((78, 60, 160), (236, 110, 140)), ((20, 90, 160), (110, 210, 210)), ((246, 150, 80), (240, 80, 110)),
    ((26, 110, 90), (190, 220, 110)), ((40, 44, 70), (120, 130, 190)),
)


def _lens(c: Canvas, x: float, y: float, r: float, rim: RGB = (60, 62, 70)) -> None:
    """Paint the glass of a camera."""
    c.shape(ellipse(x, y, r), rim, bevel=0.6, depth=r * 0.2, gloss=0.5)
    c.shape(ellipse(x, y, r * 0.8), (18, 19, 26), bevel=-0.4, depth=r * 0.2, line=0)
    c.shape(
        ellipse(x, y, r * 0.6),
        Gradient(
            ((0, (90, 70, 160)), (0.5, (30, 40, 90)), (1, (16, 18, 40))), (x - r * 0.5, y - r * 0.5),
            (x + r * 0.5, y + r * 0.5),
        ),
        bevel=0.3, depth=r * 0.15,
    )
    c.flat(ellipse(x - r * 0.22, y - r * 0.24, r * 0.16, r * 0.11, tilt=-40), (236, 240, 255))
    c.flat(ellipse(x + r * 0.22, y + r * 0.25, r * 0.07), (170, 150, 220))


def phone(c: Canvas, look: Look) -> None:
    """Draw a mobile phone: its screen with app icons, and its back behind it; or an old one with keys."""
    papers = WALLPAPERS[look.pick(*WALLPAPERS)]
    if look.chance(0.18):
        c.shape(box(0.33, 0.05, 0.67, 0.95, 0.06), look.colour, bevel=0.5, depth=0.03, gloss=0.3)
        c.shape(box(0.365, 0.13, 0.635, 0.42, 0.012), (30, 32, 38), bevel=0.2)
        c.shape(box(0.38, 0.15, 0.62, 0.4), fade(*papers, 0.15, 0.4), bevel=0)
        c.text("10:08", 0.5, 0.24, 0.05, (255, 255, 255))
        c.text(look.brand, 0.5, 0.095, 0.026, legible(look.colour), width=0.2)
        c.shape(ellipse(0.5, 0.505, 0.06), lighter(look.colour, 0.3), bevel=0.5)
        for k in range(12):
            x, y = 0.405 + k % 3 * 0.095, 0.62 + k // 3 * 0.075
            c.shape(
                box(x - 0.038, y - 0.026, x + 0.038, y + 0.026, 0.016),
                lighter(look.colour, 0.22),
                bevel=0.5, depth=0.008,
            )
            c.text("123456789*0#"[k], x, y, 0.022, legible(lighter(look.colour, 0.22)))
        return
    back = look.chance(0.6)
    shift = 0.1 if back else 0.0
    if back:
        c.shape(
            box(0.4, 0.06, 0.82, 0.9, 0.06),
            Gradient(((0, lighter(look.colour, 0.2)), (1, darker(look.colour, 0.15))), (0.4, 0.1), (0.8, 0.9)),
            bevel=0.5, depth=0.015, gloss=0.3,
        )
        cameras = look.pick(1, 2, 3) + 1
        c.shape(box(0.62, 0.09, 0.79, 0.13 + 0.085 * cameras, 0.045), darker(look.colour, 0.2), bevel=0.4)
        for k in range(cameras):
            _lens(c, 0.735, 0.145 + 0.085 * k, 0.036)
        c.emblem(look.emblem, 0.73, 0.6, 0.06, look.mark)
    x0, x1 = 0.28 - shift, 0.72 - shift
    c.shape(box(x0, 0.05, x1, 0.95, 0.065), metal(look.colour, (x0, 0.1), (x1, 0.9)), bevel=0.5, depth=0.01, gloss=0.4)
    c.shape(box(x0 + 0.012, 0.062, x1 - 0.012, 0.938, 0.055), (16, 17, 22), bevel=0)
    c.shape(
        box(x0 + 0.026, 0.076, x1 - 0.026, 0.924, 0.045),
        Gradient(((0, papers[0]), (1, papers[1])), (x0, 0.1), (x1, 0.9)),
        bevel=0, line=0,
    )
    c.shape(ellipse((x0 + x1) / 2, 0.105, 0.013), (10, 10, 14), bevel=0)
    c.text("10:08", (x0 + x1) / 2, 0.22, 0.065, (255, 255, 255))
    c.text(look.brand, (x0 + x1) / 2, 0.3, 0.024, (255, 255, 255), width=0.25)
    icons = (
        (244, 90, 90), (90, 200, 120), (90, 150, 240), (250, 200, 80), (250, 250, 250), (160, 110, 220),
        (60, 190, 200), (250, 140, 60),
    )
    for k in range(8):
        x, y = x0 + 0.085 + k % 4 * 0.09, 0.71 + k // 4 * 0.105
        c.shape(
            box(x - 0.033, y - 0.033, x + 0.033, y + 0.033, 0.018),
            icons[(k * 3 + look.emblem) % 8],
            bevel=0.3, depth=0.008, line=0,
        )
    c.glass([(x0 + 0.03, 0.5), (x0 + 0.03, 0.1), (x0 + 0.28, 0.08)], (255, 255, 255), 0.1, atop=True)


def phone_case(c: Canvas, look: Look) -> None:
    """Draw the back cover of a phone, printed, with a cut-out for the camera."""
    x0, x1 = 0.27, 0.73
    wide = look.chance(0.5)
    hole = box(x0 + 0.04, 0.09, x0 + (0.2 if wide else 0.12), 0.2 if wide else 0.27, 0.035)
    c.shape(box(x1 - 0.01, 0.25, x1 + 0.014, 0.36, 0.008), darker(look.colour, 0.3), bevel=0.4)
    c.shape(
        box(x0, 0.05, x1, 0.95, 0.075),
        look.cloth(look.vary(0.13, 0.24), 30 if look.chance(0.3) else 0),
        bevel=0.6, depth=0.022, gloss=0.4,
    )
    c.line(box(x0 + 0.014, 0.064, x1 - 0.014, 0.936, 0.064), 0.005, darker(look.colour, 0.3), closed=True)
    c.shape(hole, (30, 31, 37), bevel=-0.4, depth=0.012, line=0.3)
    c.line(hole, 0.01, darker(look.colour, 0.2), closed=True)
    for spot in ((x0 + 0.08, 0.145), (x0 + 0.16, 0.145)) if wide else ((x0 + 0.08, 0.135), (x0 + 0.08, 0.222)):
        _lens(c, *spot, 0.03)
    if look.pattern == "plain" or look.chance(0.4):
        match look.pick("emblem", "heart", "cat"):
            case 0:
                c.emblem(look.emblem, 0.5, 0.52, 0.2, look.mark)
            case 1:
                c.shape(
                    smooth(
                        [(0.5, 0.47), (0.44, 0.42), (0.37, 0.48), (0.5, 0.63), (0.5, 0.63), (0.63, 0.48), (0.56, 0.42)]
                    ),
                    look.mark,
                    bevel=0.3,
                )
            case _:
                for side in (np.array, mirrored):
                    c.flat(side([(0.4, 0.52), (0.405, 0.42), (0.47, 0.465)]), look.mark)
                c.flat(ellipse(0.5, 0.54, 0.11, 0.09), look.mark)
                for side in (np.array, mirrored):
                    c.flat(side(ellipse(0.46, 0.525, 0.013, 0.018)), look.colour)
                    c.line(side([(0.43, 0.56), (0.34, 0.55)]), 0.006, look.mark)
        c.text(look.brand, 0.5, 0.82, 0.035, look.mark, width=0.32)
    c.glass(
        [(x0 + 0.02, 0.9), (x0 + 0.02, 0.5), (x1 - 0.05, 0.06), (x1 - 0.02, 0.1), (x1 - 0.02, 0.2)],
        (255, 255, 255),
        0.07,
        atop=True,
    )


def headphones(c: Canvas, look: Look) -> None:
    """Draw headphones seen from the front: a padded band and two cups."""
    trim = look.mark if look.chance(0.5) else STEEL
    pad, r = darker(look.colour, 0.45), look.vary(0.3, 0.34)
    c.shape(ribbon(ellipse(0.5, 0.5, r, r * 1.12, 180, 360), 0.05), look.colour, bevel=0.6, depth=0.02, gloss=0.4)
    c.shape(ribbon(ellipse(0.5, 0.52, r - 0.04, r * 1.1 - 0.03, 215, 325), 0.03), pad, bevel=0.5)
    cup = look.vary(0.15, 0.19)
    for side in (np.array, mirrored):
        x = 0.5 - r
        c.shape(side(box(x - 0.025, 0.44, x + 0.025, 0.56, 0.02)), trim, bevel=0.5, gloss=0.5)
        c.shape(
            side(
                smooth(
                    [
                        (x + 0.02, 0.62 - cup * 0.95), (x + 0.1, 0.62 - cup * 0.75), (x + 0.115, 0.64),
                        (x + 0.09, 0.66 + cup * 0.75), (x + 0.02, 0.66 + cup * 0.95),
                    ]
                )
            ),
            pad, bevel=0.55, depth=0.03,
        )
        c.shape(
            side(
                smooth(
                    [
                        (x - 0.01, 0.64 - cup), (x + 0.045, 0.64 - cup * 0.9), (x + 0.045, 0.64 + cup * 0.9),
                        (x - 0.01, 0.64 + cup), (x - 0.085, 0.64 + cup * 0.75), (x - 0.105, 0.64),
                        (x - 0.085, 0.64 - cup * 0.75),
                    ]
                )
            ),
            look.colour,
            bevel=0.6, depth=0.035, gloss=0.5,
        )
        c.shape(side(ellipse(x - 0.045, 0.64, 0.036, cup * 0.5)), trim, bevel=0.5, depth=0.012, gloss=0.3)
        c.emblem(look.emblem, side([(x - 0.045, 0.64)])[0][0], 0.64, 0.05, legible(trim))
    if look.chance(0.4):
        c.line(
            smooth([(0.5 - r - 0.03, 0.82), (0.24, 0.93), (0.5, 0.9), (0.62, 0.95), (0.75, 0.93)], False), 0.012, INK
        )


def charger(c: Canvas, look: Look) -> None:
    """Draw a wall charger with its plug and a coiled cable."""
    body = look.colour
    c.line(
        smooth(
            [
                (0.33, 0.62), (0.33, 0.78), (0.5, 0.86), (0.72, 0.82), (0.84, 0.66), (0.78, 0.5), (0.66, 0.5),
                (0.62, 0.62), (0.72, 0.72), (0.88, 0.66), (0.9, 0.4), (0.84, 0.24),
            ],
            False,
        ),
        0.03,
        darker(body, 0.4),
    )
    c.line(
        smooth(
            [
                (0.33, 0.62), (0.33, 0.78), (0.5, 0.86), (0.72, 0.82), (0.84, 0.66), (0.78, 0.5), (0.66, 0.5),
                (0.62, 0.62), (0.72, 0.72), (0.88, 0.66), (0.9, 0.4), (0.84, 0.24),
            ],
            False,
        ),
        0.019,
        look.mark if look.emblem % 2 else lighter(body, 0.15),
    )
    for x in (0.25, 0.41):
        c.shape(
            box(x - 0.022, 0.06, x + 0.022, 0.24, 0.02),
            metal((214, 190, 120), (x - 0.02, 0.1), (x + 0.02, 0.1)),
            bevel=0.5, gloss=0.5,
        )
    c.shape(
        box(0.11, 0.2, 0.55, 0.6, look.vary(0.04, 0.1)),
        Gradient(((0, lighter(body, 0.25)), (1, darker(body, 0.12))), (0.15, 0.2), (0.5, 0.6)),
        bevel=0.55, depth=0.03, gloss=0.3,
    )
    c.shape(box(0.15, 0.56, 0.51, 0.63, 0.02), darker(body, 0.2), bevel=0.4)
    c.shape(box(0.275, 0.6, 0.385, 0.69, 0.012), STEEL, bevel=0.4)
    c.text(look.brand, 0.33, 0.4, 0.045, legible(body), width=0.34)
    c.emblem(look.emblem, 0.33, 0.31, 0.06, look.mark)
    c.flat(ellipse(0.47, 0.27, 0.012), (90, 220, 120))
    c.shape(box(0.795, 0.13, 0.885, 0.26, 0.014), lighter(body, 0.1), bevel=0.5)
    c.shape(box(0.812, 0.05, 0.868, 0.14, 0.008), metal(STEEL, (0.81, 0.1), (0.87, 0.1)), bevel=0.4)


def laptop(c: Canvas, look: Look) -> None:
    """Draw a laptop, open, from the front: wallpaper, keyboard, touchpad."""
    papers, body = WALLPAPERS[look.pick(*WALLPAPERS)], look.colour
    bezel = 0.018 if look.chance(0.6) else 0.035
    c.shape(box(0.13, 0.12, 0.87, 0.63, 0.022), darker(body, 0.05), bevel=0.5, depth=0.01, gloss=0.3)
    c.shape(box(0.14, 0.13, 0.86, 0.62, 0.015), (20, 21, 26), bevel=0)
    x0, y0, x1, y1 = 0.14 + bezel, 0.13 + bezel, 0.86 - bezel, 0.61 - bezel
    c.shape(box(x0, y0, x1, y1), Gradient(((0, papers[0]), (1, papers[1])), (x0, y0), (x1, y1)), bevel=0, line=0)
    for k in range(3):
        y = y1 - 0.16 + 0.05 * k
        wave = [(x, y + 0.035 * np.sin((x - x0) * (9 + 2 * k) + look.emblem + k * 2)) for x in np.linspace(x0, x1, 24)]
        c.flat([*wave, (x1, y1), (x0, y1)], mix(papers[0], papers[1], 0.75 - 0.3 * k))
    c.text(look.brand, 0.5, 0.32, 0.05, (255, 255, 255), width=0.4)
    c.shape(box(0.39, y1 - 0.05, 0.61, y1 - 0.014, 0.012), (236, 238, 244), bevel=0.2)
    for k, tone in enumerate(((244, 90, 90), (250, 200, 80), (90, 200, 120), (90, 150, 240), (160, 110, 220))):
        c.flat(ellipse(0.42 + 0.04 * k, y1 - 0.032, 0.011), tone)
    c.glass([(x0, y0 + 0.25), (x0, y0), (x0 + 0.32, y0)], (255, 255, 255), 0.1, atop=True)
    deck = [(0.13, 0.635), (0.87, 0.635), (0.965, 0.84), (0.035, 0.84)]
    c.shape(box(0.13, 0.622, 0.87, 0.645), darker(body, 0.5), bevel=0.2)
    c.shape(deck, fade(darker(body, 0.06), lighter(body, 0.14), 0.63, 0.84), bevel=0.3, depth=0.01)
    keys = (46, 48, 54) if brightness(body) > 0.3 else (24, 24, 28)
    for row in range(5):
        t0, t1 = 0.1 + row * 0.115, 0.1 + row * 0.115 + 0.09
        for col in range(13):
            if row == 4 and 3 < col < 9:
                continue
            quad = []
            for t, u in ((t0, col / 13), (t0, (col + 0.86) / 13), (t1, (col + 0.86) / 13), (t1, col / 13)):
                half = 0.37 + 0.095 * t
                quad.append((0.5 + (u - 0.497) * 2 * half * 0.86, 0.635 + 0.205 * t))
            c.flat(quad, keys)
    c.flat([(0.375, 0.748), (0.625, 0.748), (0.628, 0.763), (0.372, 0.763)], keys)
    c.shape([(0.4, 0.778), (0.6, 0.778), (0.612, 0.83), (0.388, 0.83)], darker(body, 0.08), bevel=0.2, depth=0.005)
    c.shape(
        smooth(
            [(0.035, 0.84), (0.035, 0.84), (0.965, 0.84), (0.965, 0.84), (0.955, 0.872), (0.5, 0.876), (0.045, 0.872)],
            steps=6,
        ),
        darker(body, 0.2),
        bevel=0.4,
    )


def mouse(c: Canvas, look: Look) -> None:
    """Draw a computer mouse from above, with its wheel, perhaps with a cable or lights for gamers."""
    glow, cable = look.chance(0.35), look.chance(0.6)
    w = look.vary(0.235, 0.27)
    if cable:
        c.line(smooth([(0.5, 0.3), (0.5, 0.15), (0.58, 0.07), (0.8, 0.06), (0.93, 0.14)], False), 0.024, INK)
    side = [
        (0.5, 0.185), (0.5 - w * 0.72, 0.22), (0.5 - w, 0.42), (0.5 - w * 0.94, 0.62), (0.5 - w * 0.98, 0.78),
        (0.5 - w * 0.7, 0.92), (0.5, 0.95),
    ]
    outline = symmetric(smooth(side, False))
    c.shape(
        outline,
        Gradient(((0, lighter(look.colour, 0.22)), (1, darker(look.colour, 0.2))), (0.3, 0.2), (0.7, 0.95)),
        bevel=0.55, depth=0.06, gloss=0.35,
    )
    c.line([(0.5, 0.19), (0.5, 0.5)], 0.01, darker(look.colour, 0.6))
    c.line(smooth([(0.5 - w * 0.98, 0.5), (0.5, 0.55), (0.5 + w * 0.98, 0.5)], False), 0.008, darker(look.colour, 0.5))
    c.shape(box(0.455, 0.27, 0.545, 0.44, 0.045), darker(look.colour, 0.6), bevel=0.3)
    c.shape(box(0.47, 0.28, 0.53, 0.43, 0.03), (look.mark if glow else (92, 94, 100)), bevel=0.6, depth=0.015)
    for k in range(6):
        c.line([(0.472, 0.3 + 0.022 * k), (0.528, 0.3 + 0.022 * k)], 0.004, (30, 30, 34))
    if glow:
        c.line(
            smooth(
                [
                    (0.5 - w * 0.82, 0.5), (0.5 - w * 0.74, 0.75), (0.5, 0.9), (0.5 + w * 0.74, 0.75),
                    (0.5 + w * 0.82, 0.5),
                ],
                False,
            ),
            0.016,
            look.mark,
        )
    for y in (0.47, 0.55):
        c.shape(box(0.5 - w - 0.006, y, 0.5 - w + 0.022, y + 0.06, 0.01), darker(look.colour, 0.4), bevel=0.4)
    c.emblem(look.emblem, 0.5, 0.73, 0.09, look.mark)
    c.text(look.brand, 0.5, 0.82, 0.03, legible(look.colour), width=0.24)


def router(c: Canvas, look: Look) -> None:
    """Draw a wireless router with two to four antennas and a row of lights."""
    antennas, body = look.pick(2, 3, 4) + 2, look.colour
    for k in range(antennas):
        x = 0.16 + 0.68 * k / (antennas - 1)
        lean = (x - 0.5) * 0.16
        c.shape(
            ribbon([(x, 0.62), (x + lean, 0.14)], [0.05, 0.04, 0.032], rounded=True),
            cylinder(darker(body, 0.12), x - 0.03, x + 0.04),
            bevel=0.5, depth=0.012,
        )
        c.shape(box(x - 0.03, 0.56, x + 0.03, 0.64, 0.012), darker(body, 0.25), bevel=0.5)
    c.shape(
        [(0.13, 0.6), (0.87, 0.6), (0.95, 0.74), (0.05, 0.74)],
        Gradient(((0, lighter(body, 0.25)), (1, body)), (0.3, 0.6), (0.6, 0.75)),
        bevel=0.4,
    )
    for k in range(9):
        x = 0.29 + k * 0.0525
        c.line([(x * 0.9 + 0.05, 0.625), (x, 0.7)], 0.01, darker(body, 0.4))
    c.shape(box(0.05, 0.73, 0.95, 0.85, 0.02), fade(body, darker(body, 0.25), 0.73, 0.85), bevel=0.45, gloss=0.3)
    for k, tone in enumerate(((90, 220, 120), (90, 220, 120), (250, 200, 80), (90, 160, 250), (90, 220, 120))):
        c.flat(ellipse(0.52 + 0.06 * k, 0.79, 0.012), tone)
        c.soft(ellipse(0.52 + 0.06 * k, 0.79, 0.018), tone, 0.5, 0.012)
    c.text(look.brand, 0.22, 0.79, 0.04, legible(body), width=0.26)
    c.emblem(look.emblem, 0.42, 0.79, 0.05, look.mark)


def game_controller(c: Canvas, look: Look) -> None:
    """Draw a gamepad: cross, sticks and four coloured buttons."""
    body, dark = look.colour, (44, 45, 52) if brightness(look.colour) > 0.3 else (92, 94, 102)
    for side in (np.array, mirrored):
        c.shape(side(box(0.17, 0.25, 0.38, 0.36, 0.04)), darker(body, 0.35), bevel=0.5)
    left = [
        (0.5, 0.31), (0.36, 0.285), (0.2, 0.3), (0.1, 0.45), (0.045, 0.7), (0.075, 0.83), (0.17, 0.82),
        (0.27, 0.67), (0.36, 0.625), (0.5, 0.62),
    ]
    c.shape(
        symmetric(smooth(left, False)),
        Gradient(((0, lighter(body, 0.2)), (1, darker(body, 0.18))), (0.3, 0.3), (0.6, 0.85)),
        bevel=0.55, depth=0.045, gloss=0.4,
    )
    x, y = 0.235, 0.42
    c.shape(
        moved(
            [
                (-0.022, -0.065), (0.022, -0.065), (0.022, -0.022), (0.065, -0.022), (0.065, 0.022),
                (0.022, 0.022), (0.022, 0.065), (-0.022, 0.065), (-0.022, 0.022), (-0.065, 0.022),
                (-0.065, -0.022), (-0.022, -0.022),
            ],
            x, y,
        ),
        dark, bevel=0.6, depth=0.01,
    )
    for (dx, dy), tone in zip(
        ((0, -0.052), (0.052, 0), (0, 0.052), (-0.052, 0)),
        ((250, 200, 70), (226, 70, 76), (80, 180, 110), (70, 130, 230)),
        strict=True,
    ):
        c.shape(
            ellipse(0.765 + dx, 0.42 + dy, 0.027), tone if look.emblem != 2 else dark, bevel=0.6, depth=0.012, gloss=0.6
        )
    for sx in (0.37, 0.63):
        c.shape(ellipse(sx, 0.54, 0.068), darker(body, 0.4), bevel=-0.4, depth=0.015)
        c.shape(ellipse(sx, 0.535, 0.05), dark, bevel=0.6, depth=0.015, gloss=0.3)
        c.line(ellipse(sx, 0.535, 0.03), 0.006, lighter(dark, 0.2), closed=True)
    c.shape(ellipse(0.5, 0.4, 0.032), look.mark, bevel=0.4, gloss=0.4)
    c.emblem(look.emblem, 0.5, 0.4, 0.036, legible(look.mark))
    for sx in (0.43, 0.57):
        c.shape(box(sx - 0.02, 0.385, sx + 0.02, 0.405, 0.01), dark, bevel=0.3)
    c.text(look.brand, 0.5, 0.47, 0.024, legible(body), width=0.15)


def speaker(c: Canvas, look: Look) -> None:
    """Draw a loudspeaker: a wooden box with two cones, or a portable one behind a grille."""
    if look.chance(0.55):
        c.shape(box(0.24, 0.05, 0.76, 0.95, 0.025), look.textured("wood", look.colour, 0.5, 90), bevel=0.5, depth=0.02)
        c.shape(
            box(0.265, 0.075, 0.735, 0.925, 0.015),
            (42, 43, 48) if look.chance(0.6) else darker(look.colour, 0.5),
            bevel=0.2,
        )
        cone = ((206, 170, 84), (60, 62, 68), (200, 204, 210))[look.pick(0, 1, 2)]
        for y, r in ((0.25, 0.105), (0.63, 0.2)):
            c.shape(ellipse(0.5, y, r), STEEL, bevel=0.5, gloss=0.5, depth=0.012)
            c.shape(ellipse(0.5, y, r * 0.9), (24, 24, 28), bevel=0.4, depth=0.02)
            c.shape(
                ellipse(0.5, y, r * 0.72),
                Gradient(((0, darker(cone, 0.5)), (1, lighter(cone, 0.25))), (0.4, y - r * 0.6), (0.6, y + r * 0.6)),
                bevel=-0.3, depth=0.03,
            )
            c.shape(ellipse(0.5, y, r * 0.28), darker(cone, 0.3), bevel=0.7, depth=0.02, gloss=0.5)
            for k in range(4):
                c.flat(ellipse(*point(turned([(0.5, y - r * 0.95)], 45 + 90 * k, (0.5, y))), 0.008), (60, 60, 64))
        c.text(look.brand, 0.5, 0.885, 0.03, (226, 222, 212), width=0.3)
        return
    fabric = look.accent
    c.shape(
        ribbon(smooth([(0.24, 0.34), (0.3, 0.16), (0.7, 0.16), (0.76, 0.34)], False), 0.04),
        darker(look.colour, 0.2),
        bevel=0.5,
    )
    c.shape(box(0.06, 0.3, 0.94, 0.78, 0.14), look.textured("wood", look.colour, 0.4), bevel=0.5, depth=0.03)
    c.shape(box(0.09, 0.33, 0.91, 0.75, 0.115), fabric, bevel=-0.3, depth=0.02)
    for x in np.arange(0.14, 0.88, 0.03):
        for y in np.arange(0.37, 0.73, 0.03):
            c.flat(ellipse(x, y, 0.006), darker(fabric, 0.4))
    for x in (0.29, 0.71):
        c.soft(ellipse(x, 0.54, 0.15), (10, 10, 14), 0.4, 0.02)
    c.shape(box(0.4, 0.5, 0.6, 0.58, 0.015), BRASS, bevel=0.4, gloss=0.3)
    c.text(look.brand, 0.5, 0.54, 0.03, (60, 44, 24), width=0.18)


BRASS: RGB = (212, 176, 100)


# -- cameras ----------------------------------------------------------------------------------------------------------


def camera(c: Canvas, look: Look) -> None:
    """Draw a camera from the front: a reflex camera with its hump, or a flat retro one with a leather band."""
    retro, r = look.chance(0.45), look.vary(0.2, 0.24)
    body = look.colour
    leather = (40, 40, 44) if brightness(body) > 0.25 and retro else darker(body, 0.3)
    leather = ((150, 92, 56), leather)[look.pick(0, 1)] if retro else leather
    c.shape(box(0.12, 0.24, 0.24, 0.34, 0.02), STEEL if retro else darker(body, 0.25), bevel=0.5, gloss=0.4)
    c.shape(box(0.74, 0.22, 0.86, 0.33, 0.03), STEEL if retro else darker(body, 0.25), bevel=0.5, gloss=0.4)
    if retro:
        c.shape(
            symmetric([(0.5, 0.22), (0.36, 0.22), (0.34, 0.34), (0.5, 0.34)]),
            metal(STEEL, (0.3, 0.22), (0.7, 0.34)),
            bevel=0.4,
        )
        c.shape(
            box(0.05, 0.29, 0.95, 0.82, 0.05),
            metal(mix(body, STEEL, 0.35), (0.1, 0.25), (0.9, 0.85)),
            bevel=0.5, depth=0.02,
        )
        c.shape(box(0.05, 0.4, 0.95, 0.72, 0.008), leather, bevel=0.25)
    else:
        c.shape(
            symmetric([(0.5, 0.15), (0.4, 0.155), (0.34, 0.3), (0.5, 0.32)]), body, bevel=0.55, depth=0.03, gloss=0.3
        )
        c.shape(
            smooth(
                [
                    (0.05, 0.36), (0.1, 0.29), (0.3, 0.285), (0.7, 0.285), (0.9, 0.29), (0.95, 0.36),
                    (0.95, 0.76), (0.91, 0.83), (0.5, 0.84), (0.09, 0.83), (0.05, 0.76),
                ]
            ),
            body, bevel=0.5, depth=0.04, gloss=0.25,
        )
        c.shape(
            smooth([(0.045, 0.36), (0.12, 0.3), (0.2, 0.36), (0.21, 0.6), (0.19, 0.82), (0.09, 0.84), (0.045, 0.76)]),
            leather, bevel=0.5, depth=0.03,
        )
    c.shape(ellipse(0.5, 0.57, r + 0.045), (70, 72, 78) if not retro else STEEL, bevel=0.6, gloss=0.4)
    c.shape(ellipse(0.5, 0.57, r + 0.012), (30, 31, 36), bevel=0.5, depth=0.02)
    c.line(ellipse(0.5, 0.57, r - 0.02), 0.012, look.accent if look.chance(0.5) else (110, 112, 118), closed=True)
    _lens(c, 0.5, 0.57, r - 0.03)
    c.text(look.brand, 0.5, 0.26, 0.032, (240, 240, 238) if not retro else (50, 50, 54), width=0.2)
    c.shape(ellipse(0.19, 0.27, 0.025, 0.012), (214, 60, 60), bevel=0.4)
    c.shape(box(0.76, 0.36, 0.86, 0.41, 0.012), (224, 232, 240), bevel=0.3) if retro else c.flat(
        ellipse(0.8, 0.37, 0.016), (214, 60, 60)
    )
    for x in (0.035, 0.965):
        c.shape(ellipse(x, 0.36, 0.022), STEEL, holes=[ellipse(x, 0.36, 0.011)], bevel=0.4)


def lens(c: Canvas, look: Look) -> None:
    """Draw a camera lens standing, its glass turned to us above, rings with scales below."""
    body, long = look.colour, look.vary(0.4, 0.54)
    top, w = 0.86 - long, look.vary(0.24, 0.28)
    tone = darker(body, 0.2) if brightness(body) > 0.6 else body

    def ring(y0: float, y1: float, half: float, fill: RGB) -> None:
        c.shape(
            np.concatenate(
                [ellipse(0.5, y0, half, half * 0.32, 180, 360), ellipse(0.5, y1, half, half * 0.32, 0, 180)]
            ),
            cylinder(fill, 0.5 - half, 0.5 + half),
            bevel=0.2,
        )

    ring(0.8, 0.88, w * 0.78, STEEL)
    ring(top + long * 0.72, 0.83, w * 0.95, tone)
    ring(top + long * 0.35, top + long * 0.75, w, (52, 53, 58))
    for k in range(19):
        angle = np.radians(8 + k * 164 / 18)
        x, dy = 0.5 + w * np.cos(angle), w * 0.32 * np.sin(angle)
        c.line([(x, top + long * 0.42 + dy), (x, top + long * 0.73 + dy)], 0.008, (26, 26, 30))
    ring(top, top + long * 0.36, w * 1.04, tone)
    c.line(ellipse(0.5, top + long * 0.31, w * 1.04, w * 0.333, 4, 176), 0.016, look.accent)
    c.text("18   35   50   85", 0.5, top + long * 0.16 + w * 0.31, 0.024, legible(tone), width=w)
    c.text(look.brand, 0.5, 0.86 + w * 0.06, 0.026, legible(tone), width=w)
    ry = w * 0.34
    c.shape(ellipse(0.5, top, w * 1.04, ry), (46, 47, 52), bevel=0.5, gloss=0.4)
    c.shape(ellipse(0.5, top, w * 0.88, ry * 0.86), (20, 20, 26), bevel=-0.3)
    c.shape(
        ellipse(0.5, top + 0.006, w * 0.7, ry * 0.68),
        Gradient(
            ((0, (130, 90, 190)), (0.5, (40, 60, 120)), (1, (20, 60, 70))), (0.36, top - 0.06), (0.64, top + 0.06)
        ),
        bevel=0.4,
    )
    c.soft(ellipse(0.43, top - 0.018, 0.07, 0.018), (255, 255, 255), 0.7, 0.01)


def tripod(c: Canvas, look: Look) -> None:
    """Draw a tripod on its three legs, perhaps with a camera on it."""
    body, spread = look.colour, look.vary(0.25, 0.33)
    joint = darker(body, 0.4)
    for foot in ((0.5, 0.9), (0.5 - spread, 0.95), (0.5 + spread, 0.95)):
        start = (0.5 + (foot[0] - 0.5) * 0.12, 0.38)
        c.shape(
            ribbon([start, foot], [0.045, 0.026]),
            cylinder(body, 0.46, 0.54) if foot[0] == 0.5 else body,
            bevel=0.6, depth=0.012, gloss=0.3,
        )
        for t in (0.4, 0.72):
            p = np.array(start) + (np.array(foot) - start) * t
            q = np.array(start) + (np.array(foot) - start) * (t + 0.06)
            c.shape(ribbon([p, q], 0.055), look.mark if t > 0.5 else joint, bevel=0.5)
        c.shape(ellipse(*foot, 0.022, 0.016), (40, 40, 44), bevel=0.4)
    c.shape(box(0.475, 0.22, 0.525, 0.52, 0.01), metal(STEEL, (0.475, 0.3), (0.525, 0.3)), bevel=0.3)
    c.shape(box(0.43, 0.34, 0.57, 0.43, 0.025), joint, bevel=0.5, gloss=0.3)
    c.emblem(look.emblem, 0.5, 0.385, 0.045, look.mark)
    c.line([(0.52, 0.24), (0.74, 0.33)], 0.018, STEEL)
    c.shape(ribbon([(0.7, 0.315), (0.83, 0.37)], 0.04, rounded=True), (40, 40, 44), bevel=0.5)
    c.shape(box(0.44, 0.18, 0.56, 0.25, 0.015), joint, bevel=0.5)
    if look.chance(0.4):
        c.shape(box(0.36, 0.045, 0.64, 0.18, 0.02), (50, 51, 56), bevel=0.5)
        c.shape(box(0.45, 0.02, 0.55, 0.06, 0.01), (50, 51, 56), bevel=0.4)
        _lens(c, 0.5, 0.115, 0.055)
    else:
        c.shape(box(0.41, 0.145, 0.59, 0.185, 0.01), (50, 51, 56), bevel=0.5)
        c.shape(box(0.485, 0.12, 0.515, 0.15), STEEL, bevel=0.4)


# -- cars -------------------------------------------------------------------------------------------------------------


def alloy_wheel(c: Canvas, look: Look) -> None:
    """Draw a wheel: a tyre on an alloy rim with five to ten spokes."""
    spokes, style = look.pick(5, 6, 7, 8, 10), look.pick("plain", "split", "star")
    spokes = (5, 6, 7, 8, 10)[spokes]
    rim = look.colour
    tyre = look.chance(0.8)
    outer = 0.46
    if tyre:
        c.shape(star(0.5, 0.5, outer, outer - 0.01, 44), (38, 39, 43), bevel=0.6, depth=0.03)
        c.line(ellipse(0.5, 0.5, outer - 0.035), 0.006, (62, 63, 68), closed=True)
        for angle in (0, 180):
            c.text(
                look.brand.upper(),
                *point(turned([(0.5, 0.095)], angle)),
                0.03,
                (150, 152, 156),
                angle=angle, width=0.26,
            )
        outer = 0.35
    c.shape(ellipse(0.5, 0.5, outer), metal(rim, (0.25, 0.25), (0.75, 0.75)), bevel=0.6, depth=0.014, gloss=0.6)
    c.shape(ellipse(0.5, 0.5, outer - 0.028), (34, 35, 40), bevel=-0.4, depth=0.03)
    c.shape(ellipse(0.5, 0.5, 0.2), (92, 94, 100), bevel=0.3)
    c.shape(box(0.64, 0.4, 0.7, 0.6, 0.02), look.accent, bevel=0.4)
    reach = outer - 0.018
    for k in range(spokes):
        for offset in (-0.028, 0.028) if style == 1 else (0,):
            wide = (0.034, 0.02, 0.055)[style]
            spoke = [
                (0.5 + offset * 0.4 - wide * 0.6, 0.47),
                (0.5 + offset * 1.6 - wide * (0.75 if style < 2 else 0.25), 0.5 - reach),
                (0.5 + offset * 1.6 + wide * (0.75 if style < 2 else 0.25), 0.5 - reach),
                (0.5 + offset * 0.4 + wide * 0.6, 0.47),
            ]
            c.shape(turned(spoke, k * 360 / spokes), rim, bevel=0.55, depth=0.01, gloss=0.4)
    c.shape(ellipse(0.5, 0.5, 0.085), metal(rim, (0.42, 0.42), (0.58, 0.58)), bevel=0.6, gloss=0.4)
    for k in range(5):
        c.shape(ellipse(*point(turned([(0.5, 0.44)], k * 72 + 36)), 0.011), (60, 62, 68), bevel=0.5)
    c.shape(ellipse(0.5, 0.5, 0.04), (40, 41, 46), bevel=0.4)
    c.emblem(look.emblem, 0.5, 0.5, 0.045, (230, 230, 230))


def steering_wheel(c: Canvas, look: Look) -> None:
    """Draw a steering wheel in a stitched cover, with three spokes or four."""
    colour, second, four = look.colour, look.figure if look.chance(0.5) else darker(look.colour, 0.25), look.chance(0.4)
    thick = look.vary(0.085, 0.105)
    dark = (46, 47, 52)
    for angle in (90, -90, 180) if not four else (62, -62, 140, -140):
        c.shape(
            turned([(0.455, 0.47), (0.47, 0.12), (0.53, 0.12), (0.545, 0.47)], angle),
            dark, bevel=0.5, depth=0.02, gloss=0.2,
        )
        c.shape(
            turned([(0.478, 0.36), (0.485, 0.16), (0.515, 0.16), (0.522, 0.36)], angle),
            STEEL if look.emblem % 2 else (84, 86, 92),
            bevel=0.4,
        )
    c.shape(
        ellipse(0.5, 0.5, 0.45), colour, holes=[ellipse(0.5, 0.5, 0.45 - thick)], bevel=0.65, depth=0.028, gloss=0.2
    )
    for start in (-125, 55) if look.chance(0.7) else (-160, 20):
        arc = ribbon(ellipse(0.5, 0.5, 0.45 - thick / 2, None, start, start + 70), thick)
        c.shape(arc, second, bevel=0.5, depth=0.025)
    c.stitches(ellipse(0.5, 0.5, 0.45 - thick * 0.8, None, 0, 359), look.mark, 0.007, 0.014)
    c.shape(
        symmetric(smooth([(0.5, 0.35), (0.4, 0.36), (0.345, 0.45), (0.36, 0.58), (0.43, 0.65), (0.5, 0.655)], False)),
        dark, bevel=0.55, depth=0.04, gloss=0.25,
    )
    c.shape(ellipse(0.5, 0.49, 0.055), metal(STEEL, (0.45, 0.44), (0.55, 0.55)), bevel=0.5, gloss=0.5)
    c.emblem(look.emblem, 0.5, 0.49, 0.06, (50, 50, 56))
    c.text(look.brand, 0.5, 0.6, 0.024, (200, 202, 206), width=0.18)


def helmet(c: Canvas, look: Look) -> None:
    """Draw a full-face motorcycle helmet from the side, with its visor and stripes."""
    visor = ((40, 44, 54), (70, 110, 150), (150, 110, 60))[look.pick(0, 1, 2)]
    style = look.pick("stripe", "flame", "plain")
    shell = smooth(
        [
            (0.5, 0.07), (0.24, 0.13), (0.08, 0.36), (0.07, 0.56), (0.07, 0.7), (0.12, 0.84), (0.26, 0.88),
            (0.42, 0.88), (0.6, 0.93), (0.78, 0.9), (0.88, 0.74), (0.93, 0.5), (0.88, 0.27), (0.72, 0.11),
        ]
    )
    c.shape(
        smooth([(0.3, 0.82), (0.4, 0.86), (0.62, 0.9), (0.72, 0.92), (0.6, 0.96), (0.35, 0.92)]),
        (40, 40, 46),
        bevel=0.4,
    )
    c.shape(
        shell,
        Gradient(
            ((0, lighter(look.colour, 0.3)), (0.45, look.colour), (1, darker(look.colour, 0.35))), (0.3, 0.1),
            (0.8, 0.9),
        ),
        bevel=0.5, depth=0.06, gloss=0.35,
    )
    if style == 0:
        for offset, tone in ((0, look.mark), (0.075, look.figure)):
            c.shape(
                ribbon(
                    smooth(
                        [(0.3 + offset, 0.04), (0.56 + offset, 0.2), (0.74 + offset, 0.5), (0.72 + offset, 0.96)], False
                    ),
                    0.055,
                ),
                tone, bevel=0.15, atop=True,
            )
    elif style == 1:
        for k in range(4):
            y = 0.3 + 0.15 * k
            c.shape(
                smooth(
                    [(0.97, y - 0.06), (0.97, y + 0.09), (0.75, y + 0.07), (0.5, y + 0.01), (0.5, y + 0.01), (0.75, y)]
                ),
                look.mark if k % 2 else look.figure,
                bevel=0.15, atop=True,
            )
    opening = smooth(
        [
            (0.055, 0.4), (0.12, 0.33), (0.35, 0.31), (0.56, 0.34), (0.6, 0.45), (0.56, 0.57), (0.35, 0.61),
            (0.14, 0.61), (0.06, 0.57),
        ]
    )
    c.shape(opening, (34, 35, 40), bevel=0.4)
    c.shape(
        (opening - (0.33, 0.46)) * (0.94, 0.84) + (0.32, 0.46),
        Gradient(((0, lighter(visor, 0.5)), (0.4, visor), (1, darker(visor, 0.4))), (0.2, 0.32), (0.35, 0.6)),
        bevel=0.4, gloss=0.5,
    )
    c.glass(
        smooth([(0.12, 0.4), (0.3, 0.355), (0.36, 0.36), (0.24, 0.45), (0.12, 0.47)]), (255, 255, 255), 0.4, atop=True
    )
    c.shape(ellipse(0.575, 0.455, 0.042), (60, 61, 67), bevel=0.5, gloss=0.4)
    for k in range(3):
        c.shape(
            ribbon([(0.1 + 0.012 * k, 0.7 + 0.04 * k), (0.25, 0.7 + 0.04 * k)], 0.018, rounded=True),
            (40, 40, 46),
            bevel=0.3,
        )
    c.text(look.brand, 0.5, 0.735, 0.055, look.mark, width=0.36)
    c.emblem(look.emblem, 0.42, 0.21, 0.1, look.mark)
    c.soft(ellipse(0.35, 0.17, 0.12, 0.03, tilt=-28), (255, 255, 255), 0.7, 0.02)


def car_mat(c: Canvas, look: Look) -> None:
    """Draw a set of car floor mats: two in front, a pair or a wide one behind."""
    colour, edge = look.colour, look.mark if look.chance(0.6) else darker(look.colour, 0.45)
    ribs = look.pick("lines", "diamonds", "squares")
    mats = []
    for side in (np.array, mirrored):
        mats.append(
            side(
                smooth(
                    [
                        (0.09, 0.1), (0.2, 0.05), (0.4, 0.05), (0.46, 0.1), (0.46, 0.3), (0.44, 0.56),
                        (0.1, 0.56), (0.07, 0.3),
                    ],
                    steps=6,
                )
            )
        )
        mats.append(side(box(0.09, 0.63, 0.45, 0.93, 0.04)))
    for mat in mats:
        c.shape(mat, edge, bevel=0.45, depth=0.02)
        centre = (mat.max(0) + mat.min(0)) / 2
        c.shape((mat - centre) * (0.92, 0.94) + centre, colour, bevel=0.3, depth=0.02)
        (x0, y0), (x1, y1) = mat.min(0) + 0.045, mat.max(0) - 0.045
        tone = darker(colour, 0.35) if brightness(colour) > 0.2 else lighter(colour, 0.18)
        if ribs == 0:
            for y in np.arange(y0, y1, 0.03):
                c.line([(x0, y), (x1, y)], 0.009, tone)
        else:
            for i, x in enumerate(np.arange(x0 + 0.01, x1, 0.048)):
                for y in np.arange(y0 + 0.01 + (0.024 if i % 2 and ribs == 1 else 0), y1, 0.048):
                    c.emblem(2, x, y, 0.034, tone) if ribs == 1 else c.flat(
                        box(x - 0.014, y - 0.014, x + 0.014, y + 0.014), tone
                    )
    for x in (0.27, 0.73):
        c.shape(box(x - 0.085, 0.41, x + 0.085, 0.5, 0.012), darker(colour, 0.5), bevel=0.3)
        c.text(look.brand, x, 0.455, 0.026, (226, 226, 226), width=0.14)


DRAWINGS: dict[str, Drawing] = {
    "phone": phone,
    "phone_case": phone_case,
    "headphones": headphones,
    "charger": charger,
    "laptop": laptop,
    "mouse": mouse,
    "router": router,
    "game_controller": game_controller,
    "speaker": speaker,
    "camera": camera,
    "lens": lens,
    "tripod": tripod,
    "alloy_wheel": alloy_wheel,
    "steering_wheel": steering_wheel,
    "helmet": helmet,
    "car_mat": car_mat,
}
