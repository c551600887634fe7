"""Draw clothing, also for babies."""

# An outline reads as rows of points, not as a column.
# fmt: off
import numpy as np

from sample_shop.drawing.canvas import Canvas
from sample_shop.drawing.geometry import box, ellipse, mirrored, ribbon, smooth, symmetric
from sample_shop.drawing.look import Drawing, Look
from sample_shop.drawing.palette import RGB, brightness, darker, lighter, mix


def _folds(c: Canvas, *folds: list[tuple[float, float]], strength: float = 0.22) -> None:
    """Shade the creases of cloth."""
    for fold in folds:
        c.soft(ribbon(smooth(fold, closed=False), [0.004, 0.03, 0.004]), (20, 16, 30), strength, 0.012)


def _buttons(c: Canvas, x: float, ys: list[float], size: float, colour: RGB) -> None:
    for y in ys:
        c.flat(ellipse(x, y + size * 0.25, size * 1.1), darker(colour, 0.6))
        c.flat(ellipse(x, y, size), colour)
        c.flat(ellipse(x, y, size * 0.35), darker(colour, 0.35))


def t_shirt(c: Canvas, look: Look) -> None:
    """Draw a T-shirt laid flat, with a round, V or polo neck, its sleeves short or long."""
    long_sleeves = look.chance(0.3)
    neck = look.pick("round", "v", "polo")
    body, waist = look.vary(0.225, 0.265), look.vary(0.0, 0.02)
    cloth = look.cloth(look.vary(0.14, 0.24))
    sleeve_fill = look.figure if look.pattern == "plain" and look.chance(0.25) else cloth
    left, hem = 0.5 - body, look.vary(0.86, 0.93)
    if long_sleeves:
        sleeve = [
            (0.35, 0.14), (0.25, 0.2), (0.13, 0.5), (0.07, 0.77), (0.155, 0.8), (0.23, 0.56), (left, 0.4),
            (0.33, 0.3),
        ]
        cuff = [(0.07, 0.755), (0.155, 0.785), (0.15, 0.815), (0.062, 0.785)]
    else:
        sleeve = [(0.35, 0.13), (0.24, 0.18), (0.06, 0.39), (0.17, 0.485), (left + 0.01, 0.4), (0.33, 0.3)]
        cuff = [(0.072, 0.375), (0.185, 0.472), (0.17, 0.488), (0.058, 0.39)]
    for side in (np.array(sleeve), mirrored(sleeve)):
        c.shape(side, sleeve_fill, bevel=0.34)
    c.shape(ellipse(0.5, 0.135, 0.105, 0.045), darker(look.colour, 0.55), bevel=0)
    depth = (0.19, 0.3, 0.22)[neck]
    neckline = (
        [(0.5, depth), (0.44, depth - 0.012), (0.41, 0.17), (0.392, 0.115)]
        if neck != 1
        else [(0.5, depth), (0.392, 0.115)]
    )
    outline = symmetric(
        [
            *neckline, (0.3, 0.155), (left + 0.005, 0.3), (left + waist, 0.6), (left, hem), (0.36, hem + 0.012),
            (0.5, hem + 0.016),
        ]
    )
    c.shape(outline, cloth, bevel=0.3)
    rim = ribbon(smooth(symmetric(neckline[::-1]), closed=False) if neck != 1 else symmetric(neckline[::-1]), 0.024)
    trim = look.mark if look.chance(0.5) else darker(look.colour, 0.22)
    if neck == 2:
        for flap in ([(0.385, 0.1), (0.44, 0.12), (0.5, 0.22), (0.43, 0.275), (0.36, 0.15)],):
            c.shape(flap, trim)
            c.shape(mirrored(flap), trim)
        c.shape(box(0.48, 0.22, 0.52, 0.4, 0.006), darker(look.colour, 0.12), bevel=0.2)
        _buttons(c, 0.5, [0.265, 0.325], 0.008, lighter(trim, 0.6))
    else:
        c.shape(rim, trim, bevel=0.2)
    for side in (np.array(cuff), mirrored(cuff)):
        c.shape(side, trim if neck == 2 else darker(look.colour, 0.15), bevel=0.1)
    c.stitches([(left + 0.004, hem - 0.02), (1 - left - 0.004, hem - 0.02)], darker(look.colour, 0.35))
    _folds(
        c,
        [(left + 0.01, 0.42), (0.36, 0.5), (0.4, 0.62)],
        [(1 - left - 0.01, 0.42), (0.63, 0.52), (0.6, 0.66)],
        [(0.33, 0.88), (0.36, 0.76), (0.34, 0.66)],
    )
    match look.pick("large", "chest", "word") if look.pattern == "plain" else 1:
        case 0:
            c.emblem(look.emblem, 0.5, 0.42, 0.17, look.mark)
            c.text(look.brand, 0.5, 0.555, 0.035, look.mark, width=0.32)
        case 1:
            c.emblem(look.emblem, 0.615, 0.34, 0.055, look.mark)
        case _:
            c.text(look.brand, 0.5, 0.42, 0.055, look.mark, width=0.36)


def dress(c: Canvas, look: Look) -> None:
    """Draw a dress with a fitted bodice and a flared skirt, sleeveless or with puffed sleeves."""
    flare, hem = look.vary(0.2, 0.34), look.vary(0.78, 0.94)
    sleeves = look.pick("straps", "cap", "puffed")
    cloth = look.cloth(look.vary(0.12, 0.2))
    plain = look.colour
    if sleeves == 2:
        for arm in ([(0.37, 0.12), (0.28, 0.13), (0.22, 0.24), (0.25, 0.32), (0.34, 0.31), (0.38, 0.25)],):
            c.shape(smooth(arm), cloth, bevel=0.5)
            c.shape(smooth(mirrored(arm)), cloth, bevel=0.5)
    elif sleeves == 1:
        for arm in ([(0.37, 0.1), (0.29, 0.18), (0.31, 0.26), (0.39, 0.24)],):
            c.shape(smooth(arm), cloth, bevel=0.4)
            c.shape(smooth(mirrored(arm)), cloth, bevel=0.4)
    c.shape(ellipse(0.5, 0.15, 0.1, 0.06), darker(plain, 0.55), bevel=0)
    top = 0.06 if sleeves == 0 else 0.09
    bodice = [
        (0.5, 0.25), (0.44, 0.22), (0.41, top), (0.375, top), (0.365, 0.2), (0.345, 0.27), (0.375, 0.37),
        (0.395, 0.44), (0.5, 0.445),
    ]
    skirt_side = [(0.395, 0.425), (0.395 - flare * 0.4, 0.6), (0.395 - flare * 0.8, hem - 0.1), (0.395 - flare, hem)]
    scallops = [
        (0.395 - flare + (0.105 + flare) * k / 4, hem + 0.022 * (1.2 if k % 2 else 0.5) + 0.006 * k)
        for k in range(1, 5)
    ]
    skirt = symmetric([(0.5, 0.425), *skirt_side, *scallops])
    c.shape(skirt, cloth, bevel=0.35, depth=0.05)
    pleats = look.pick(3, 5, 7) * 2 + 3
    for k in range(pleats):
        at = (k + 0.5) / pleats * 2 - 1
        x0, x1 = 0.5 + at * 0.095, 0.5 + at * (0.09 + flare)
        c.soft(
            ribbon([(x0, 0.45), ((x0 + x1) / 2, 0.62), (x1, hem + 0.01)], [0.004, 0.016, 0.03]),
            (20, 14, 30), 0.26, 0.012,
        )
        c.soft(ribbon([(x0 + 0.014, 0.48), (x1 + 0.05, hem)], [0.003, 0.022]), (255, 255, 255), 0.14, 0.012)
    c.shape(symmetric(bodice), cloth, bevel=0.4)
    c.soft(ellipse(0.44, 0.29, 0.035, 0.045), (255, 255, 255), 0.2, 0.025)
    sash = look.mark if look.chance(0.6) else darker(plain, 0.3)
    c.shape(symmetric([(0.5, 0.418), (0.388, 0.412), (0.388, 0.448), (0.5, 0.456)]), sash, bevel=0.4)
    if look.chance(0.45):
        for loop in ([(0.5, 0.435), (0.44, 0.4), (0.425, 0.44), (0.45, 0.465)],):
            c.shape(smooth(loop), sash, bevel=0.5)
            c.shape(smooth(mirrored(loop)), sash, bevel=0.5)
        c.shape(ellipse(0.5, 0.436, 0.016), darker(sash, 0.2))
    if look.chance(0.4):
        c.shape(
            ribbon(
                smooth(
                    [(0.395 - flare + 0.01, hem - 0.025), (0.5, hem + 0.008), (0.605 + flare - 0.01, hem - 0.025)],
                    False,
                ),
                0.018,
            ),
            sash, bevel=0.1, atop=True,
        )


def kurta(c: Canvas, look: Look) -> None:
    """Draw a kurta: a long tunic with side slits, an embroidered neck and borders."""
    cloth = look.cloth(look.vary(0.11, 0.17))
    trim = look.figure if look.chance(0.6) else look.mark
    gold = (222, 184, 90)
    sleeve = [(0.37, 0.1), (0.27, 0.14), (0.17, 0.42), (0.245, 0.455), (0.335, 0.3)]
    if look.chance(0.5):
        sleeve = [(0.37, 0.1), (0.28, 0.14), (0.13, 0.6), (0.2, 0.63), (0.335, 0.32)]
    (ax, ay), (bx, by) = sleeve[2], sleeve[3]
    cuff = [(ax, ay), (bx, by), (bx + 0.012, by - 0.04), (ax + 0.014, ay - 0.04)]
    for side in (np.array(sleeve), mirrored(sleeve)):
        c.shape(side, cloth, bevel=0.4)
    for side in (np.array(cuff), mirrored(cuff)):
        c.shape(side, trim, bevel=0.2)
    hem = look.vary(0.9, 0.95)
    body = [
        (0.5, 0.16), (0.44, 0.135), (0.41, 0.085), (0.36, 0.1), (0.315, 0.2), (0.335, 0.36), (0.295, 0.62),
        (0.275, hem), (0.5, hem + 0.012),
    ]
    c.shape(ellipse(0.5, 0.1, 0.09, 0.035), darker(look.colour, 0.55), bevel=0)
    c.shape(symmetric(body), cloth, bevel=0.35, depth=0.04)
    border = symmetric([(0.5, hem - 0.055), (0.281, hem - 0.065), (0.275, hem), (0.5, hem + 0.012)])
    c.shape(border, trim, bevel=0.15)
    c.stitches([(0.285, hem - 0.045), (0.715, hem - 0.045)], gold, 0.007, 0.012)
    for k in range(11):
        c.flat(ellipse(0.3 + 0.04 * k, hem - 0.02, 0.009), gold)
    for sign in (1, -1):
        c.line([(0.5 + sign * 0.19, 0.7), (0.5 + sign * 0.2, hem)], 0.006, darker(look.colour, 0.5))
    yoke = symmetric(
        [
            (0.5, 0.155), (0.445, 0.135), (0.415, 0.088), (0.395, 0.1), (0.42, 0.18), (0.46, 0.22),
            (0.472, 0.42), (0.5, 0.45),
        ]
    )
    c.shape(yoke, trim, bevel=0.25)
    for k in range(6):
        c.flat(ellipse(0.5, 0.215 + k * 0.04, 0.008), gold)
    for k in range(5):
        for sign in (1, -1):
            c.flat(ellipse(0.5 + sign * (0.04 + 0.012 * k), 0.2 - 0.024 * k, 0.006), gold)
    _folds(
        c,
        [(0.36, 0.42), (0.38, 0.6), (0.35, 0.8)],
        [(0.62, 0.45), (0.6, 0.62), (0.64, 0.84)],
        [(0.46, 0.5), (0.45, 0.7), (0.47, 0.88)],
    )


def jeans(c: Canvas, look: Look) -> None:
    """Draw a pair of jeans, skinny to wide, perhaps faded or torn at the knee."""
    denim = look.textured("denim", look.colour, 0.12)
    width, spread = look.vary(0.085, 0.13), look.vary(0.02, 0.06)
    seam = (222, 164, 84) if look.chance(0.7) else lighter(look.colour, 0.4)
    ankle = 0.405 - spread
    leg = [
        (0.32, 0.12), (0.29, 0.3), (ankle - width * 0.95, 0.65), (ankle - width, 0.95),
        (ankle + width * 0.72, 0.955), (0.455, 0.65), (0.5, 0.38), (0.52, 0.12),
    ]
    c.shape(mirrored(leg), denim, bevel=0.4, depth=0.035)
    c.shape(leg, denim, bevel=0.4, depth=0.035)
    faded = lighter(look.colour, 0.7)
    if look.chance(0.7):
        for knee in ((0.385, 0.56), (0.615, 0.56)):
            c.soft(ellipse(*knee, 0.035, 0.14), faded, 0.42, 0.03)
    c.shape(symmetric([(0.5, 0.055), (0.33, 0.055), (0.318, 0.125), (0.5, 0.13)]), denim, bevel=0.35)
    c.line([(0.322, 0.118), (0.678, 0.118)], 0.005, seam)
    for x in (0.36, 0.44, 0.56, 0.64):
        c.shape(box(x - 0.01, 0.045, x + 0.01, 0.14, 0.004), denim, bevel=0.5)
    c.line([(0.5, 0.13), (0.5, 0.36)], 0.005, darker(look.colour, 0.5))
    c.line(smooth([(0.53, 0.13), (0.535, 0.28), (0.505, 0.34)], False), 0.005, seam)
    for side in (np.array, mirrored):
        c.line(side(smooth([(0.38, 0.13), (0.365, 0.19), (0.31, 0.21)], False)), 0.006, seam)
        c.line(side([(0.33, 0.22), (0.305, 0.36)]), 0.004, seam)
        c.line(side([(ankle - width + 0.004, 0.925), (ankle + width * 0.7, 0.93)]), 0.005, seam)
    c.shape(ellipse(0.5, 0.09, 0.015), (196, 150, 84), gloss=0.6)
    c.shape(box(0.58, 0.072, 0.655, 0.108, 0.006), (150, 98, 56), bevel=0.4)
    c.text(look.brand, 0.617, 0.09, 0.013, (70, 40, 24), width=0.065)
    if look.chance(0.35):
        for y in (0.53, 0.56, 0.59):
            c.line([(0.35, y), (0.42, y + 0.006)], 0.008, lighter(look.colour, 0.82))
    if look.chance(0.4):
        for side in (np.array, mirrored):
            c.shape(
                side(
                    [
                        (ankle - width - 0.006, 0.88), (ankle + width * 0.74, 0.885),
                        (ankle + width * 0.76, 0.96), (ankle - width - 0.008, 0.956),
                    ]
                ),
                lighter(look.colour, 0.35),
                bevel=0.4,
            )
    _folds(
        c,
        [(0.5, 0.36), (0.45, 0.41), (0.4, 0.43)],
        [(0.5, 0.36), (0.55, 0.41), (0.6, 0.43)],
        [(0.36, 0.8), (0.4, 0.83), (0.42, 0.81)],
    )


def jacket(c: Canvas, look: Look) -> None:
    """Draw a jacket with a zip: quilted, bomber or hooded."""
    style = look.pick("quilted", "bomber", "hooded")
    trim = look.figure if look.chance(0.5) else darker(look.colour, 0.3)
    rib = darker(look.colour, 0.4) if style != 1 else trim
    steel = (186, 190, 196)
    sleeve = [(0.36, 0.15), (0.26, 0.2), (0.15, 0.46), (0.075, 0.8), (0.17, 0.84), (0.25, 0.6), (0.31, 0.4)]
    for side in (np.array, mirrored):
        c.shape(side(smooth(sleeve, steps=4)), look.colour, bevel=0.5, depth=0.035)
        c.shape(side([(0.078, 0.785), (0.175, 0.825), (0.165, 0.87), (0.068, 0.835)]), rib, bevel=0.4)
        if style == 0:
            for k in range(5):
                y = 0.36 + 0.09 * k
                c.line(
                    side(
                        smooth(
                            [(0.2 - 0.03 * k, y - 0.01), (0.235 - 0.022 * k, y + 0.025), (0.295 - 0.02 * k, y + 0.03)],
                            False,
                        )
                    ),
                    0.005,
                    darker(look.colour, 0.35),
                )
    if style == 2:
        hood = [(0.37, 0.17), (0.355, 0.08), (0.42, 0.03), (0.5, 0.022)]
        c.shape(symmetric(smooth(hood, False)[::-1]), look.colour, bevel=0.5)
        c.shape(ellipse(0.5, 0.12, 0.1, 0.07), darker(look.colour, 0.55), bevel=0.2)
    else:
        c.shape(symmetric([(0.5, 0.075), (0.41, 0.08), (0.39, 0.17), (0.5, 0.22)]), rib, bevel=0.5)
    body = [(0.5, 0.17), (0.41, 0.14), (0.3, 0.17), (0.265, 0.35), (0.28, 0.6), (0.27, 0.83), (0.5, 0.84)]
    c.shape(symmetric(body), look.colour, bevel=0.45, depth=0.045)
    if style == 0:
        for k in range(6):
            y = 0.27 + 0.1 * k
            c.soft(ribbon([(0.265, y + 0.045), (0.735, y + 0.045)], 0.03), (255, 255, 255), 0.16, 0.014)
            c.line(
                smooth([(0.272, y), (0.4, y + 0.012), (0.5, y + 0.006), (0.6, y + 0.012), (0.728, y)], False),
                0.005,
                darker(look.colour, 0.35),
            )
    elif look.chance(0.6):
        c.shape(symmetric([(0.5, 0.3), (0.268, 0.27), (0.266, 0.38), (0.5, 0.41)]), trim, bevel=0.2, atop=True)
    c.shape(symmetric([(0.5, 0.825), (0.275, 0.815), (0.285, 0.895), (0.5, 0.905)]), rib, bevel=0.4)
    for k in range(24):
        x = 0.295 + k * 0.0178
        c.line([(x, 0.83), (x, 0.893)], 0.003, darker(rib, 0.3))
    c.line([(0.5, 0.17), (0.5, 0.9)], 0.02, darker(look.colour, 0.45))
    c.stitches([(0.5, 0.17), (0.5, 0.9)], steel, 0.01, 0.009)
    c.shape(box(0.49, 0.2, 0.51, 0.245, 0.006), steel, gloss=0.5)
    for side in (np.array, mirrored):
        c.line(side([(0.34, 0.6), (0.39, 0.74)]), 0.012, darker(look.colour, 0.5))
        c.line(side([(0.343, 0.6), (0.393, 0.74)]), 0.004, steel)
    c.emblem(look.emblem, 0.62, 0.33, 0.055, look.mark if style != 1 else lighter(trim, 0.7))
    _folds(
        c,
        [(0.29, 0.4), (0.36, 0.45), (0.4, 0.52)],
        [(0.71, 0.4), (0.64, 0.45), (0.6, 0.52)],
        [(0.2, 0.5), (0.17, 0.56), (0.2, 0.62)],
    )


def romper(c: Canvas, look: Look) -> None:
    """Draw a baby's romper with short legs and snaps."""
    cloth = look.cloth(look.vary(0.12, 0.2))
    trim = look.mark if look.chance(0.5) else mix(look.figure, (255, 255, 255), 0.15)
    for side in (np.array, mirrored):
        c.shape(
            side(smooth([(0.36, 0.12), (0.22, 0.2), (0.1, 0.36), (0.2, 0.45), (0.33, 0.36)], steps=5)), cloth, bevel=0.4
        )
        c.shape(side([(0.1, 0.335), (0.215, 0.435), (0.19, 0.462), (0.075, 0.362)]), trim, bevel=0.3)
    c.shape(ellipse(0.5, 0.135, 0.12, 0.05), darker(look.colour, 0.4), bevel=0)
    body = [
        (0.5, 0.2), (0.42, 0.175), (0.375, 0.11), (0.31, 0.15), (0.27, 0.34), (0.255, 0.55), (0.235, 0.72),
        (0.215, 0.86), (0.36, 0.9), (0.43, 0.83), (0.5, 0.8),
    ]
    c.shape(symmetric(body), cloth, bevel=0.4, depth=0.045)
    c.shape(ribbon(smooth(symmetric([(0.375, 0.115), (0.42, 0.18), (0.5, 0.205)]), False), 0.026), trim, bevel=0.3)
    for side in (np.array, mirrored):
        c.shape(side([(0.21, 0.845), (0.365, 0.89), (0.36, 0.925), (0.2, 0.88)]), trim, bevel=0.3)
    c.shape(
        ribbon(smooth([(0.36, 0.9), (0.43, 0.83), (0.5, 0.8), (0.57, 0.83), (0.64, 0.9)], False), 0.028),
        trim, bevel=0.2, atop=True,
    )
    for x, y in ((0.4, 0.862), (0.45, 0.822), (0.5, 0.803), (0.55, 0.822), (0.6, 0.862)):
        c.flat(ellipse(x, y, 0.008), (250, 250, 250))
    face = look.pick("bear", "star", "pocket")
    if face == 0:
        fur = (176, 122, 78)
        for x in (0.43, 0.57):
            c.shape(ellipse(x, 0.4, 0.035), fur)
        c.shape(ellipse(0.5, 0.46, 0.1, 0.09), fur, bevel=0.3)
        c.flat(ellipse(0.5, 0.49, 0.045, 0.035), (238, 214, 182))
        for x in (0.46, 0.54):
            c.flat(ellipse(x, 0.445, 0.011), (40, 28, 24))
        c.flat(ellipse(0.5, 0.477, 0.015, 0.01), (40, 28, 24))
    elif face == 1:
        c.emblem(1, 0.5, 0.45, 0.2, trim)
    else:
        c.shape(box(0.4, 0.4, 0.6, 0.58, 0.03), trim, bevel=0.3)
        c.emblem(look.emblem, 0.5, 0.49, 0.09, look.colour)
    _folds(c, [(0.3, 0.4), (0.36, 0.46), (0.37, 0.56)], [(0.7, 0.4), (0.64, 0.46), (0.63, 0.56)], strength=0.16)


def bib(c: Canvas, look: Look) -> None:
    """Draw a baby's bib with piping and an animal on it."""
    cloth = look.cloth(look.vary(0.14, 0.22))
    trim = look.mark if brightness(look.mark) > 0.2 else lighter(look.mark, 0.3)
    outer = [
        (0.5, 0.42), (0.42, 0.4), (0.37, 0.31), (0.4, 0.2), (0.46, 0.13), (0.44, 0.075), (0.35, 0.09),
        (0.24, 0.2), (0.2, 0.38), (0.14, 0.55), (0.15, 0.76), (0.27, 0.91), (0.5, 0.945),
    ]
    outline = symmetric(smooth(outer, False))
    c.shape(outline, cloth, bevel=0.35)
    c.shape(ribbon(outline, 0.03), trim, bevel=0.3)
    c.stitches(outline[::3], lighter(trim, 0.55), 0.004)
    c.flat(ellipse(0.445, 0.115, 0.014), (250, 250, 250))
    ear, skin = look.pick("bunny", "cat", "chick"), ((214, 206, 214), (236, 178, 106), (248, 214, 92))
    fur = skin[ear]
    for side in (np.array, mirrored):
        if ear == 0:
            c.shape(side(ellipse(0.455, 0.51, 0.028, 0.085, tilt=-8)), fur, bevel=0.3)
            c.flat(side(ellipse(0.455, 0.515, 0.013, 0.055, tilt=-8)), (244, 178, 190))
        elif ear == 1:
            c.shape(side([(0.395, 0.66), (0.4, 0.52), (0.48, 0.58)]), fur, bevel=0.3)
        else:
            c.shape(side(ellipse(0.36, 0.7, 0.05, 0.03, tilt=20)), darker(fur, 0.1), bevel=0.3)
    c.shape(ellipse(0.5, 0.67, 0.125, 0.105), fur, bevel=0.3)
    for side in (np.array, mirrored):
        c.flat(side(ellipse(0.455, 0.655, 0.013, 0.016)), (44, 34, 34))
        c.soft(side(ellipse(0.42, 0.695, 0.02)), (240, 130, 130), 0.5, 0.012)
    if ear == 2:
        c.flat([(0.475, 0.675), (0.525, 0.675), (0.5, 0.71)], (240, 140, 50))
    else:
        c.flat(ellipse(0.5, 0.685, 0.014, 0.01), (214, 110, 120))
        c.line(
            smooth([(0.47, 0.705), (0.485, 0.718), (0.5, 0.702), (0.515, 0.718), (0.53, 0.705)], False),
            0.006,
            (90, 60, 60),
        )
    if look.pattern == "plain":
        c.text(look.brand, 0.5, 0.85, 0.032, look.mark, width=0.36)


DRAWINGS: dict[str, Drawing] = {
    "t_shirt": t_shirt,
    "dress": dress,
    "kurta": kurta,
    "jeans": jeans,
    "jacket": jacket,
    "romper": romper,
    "bib": bib,
}
