"""Define the named colours of the sample shop's materials, all RGB."""

from typing import NamedTuple

RGB = tuple[int, int, int]


class Colour(NamedTuple):
    """Describe a colour with its shop name."""

    name: str
    rgb: RGB


def _colours(text: str) -> tuple[Colour, ...]:
    """Parse `Name hex` pairs separated by commas."""
    pairs = (entry.strip().rsplit(" ", 1) for entry in text.split(","))
    return tuple(Colour(name, (int(h[:2], 16), int(h[2:4], 16), int(h[4:], 16))) for name, h in pairs)


MATERIALS: dict[str, tuple[Colour, ...]] = {
    "cloth": _colours(
        "Red c8323a, Maroon 7b1f2e, Coral f0745a, Orange ee8434, Mustard dba529, Yellow f3cc45, Olive 7a7d3a, "
        "Green 3f8f55, Bottle Green 1f5a46, Mint 9ad6bd, Teal 1f8a8c, Turquoise 38b9c0, Sky Blue 86bce6, "
        "Blue 2f63b8, Navy 24335f, Indigo 3e3a86, Purple 74479c, Lavender b9a3db, Pink ee8fb0, Magenta c2347f, "
        "Peach f6b894, Beige dcc7a4, Brown 7d5439, Grey 8d939b, Charcoal 41464e, Black 26272b, White eeebe4"
    ),
    "denim": _colours("Blue 4a6fa5, Dark Blue 2c3f66, Light Blue 8fb1d4, Grey 7d838c, Black 2c2e35, Indigo 394a86"),
    "leather": _colours(
        "Tan c68c53, Brown 7b4a2c, Dark Brown 4b2e20, Black 2a2828, Oxblood 6e2228, Red b5312f, Beige d8bd98, "
        "Navy 2b3a5c, Olive 6b6a3c, Grey 83807c, Pink dd96a0, Mustard cf9a34"
    ),
    "precious": _colours("Gold f0c043, Silver d3d7dc, Rose Gold eaa68e, Antique Gold cb9f45, Oxidised Silver a2a8af"),
    "gloss": _colours(
        "Red d5293a, Orange f07a2b, Yellow f5c433, Green 3aa35a, Teal 17908f, Sky Blue 5cb3e8, Blue 2460c8, "
        "Navy 22356e, Purple 7b4bb0, Pink ef6f9d, Black 2a2b30, White f1f0ec, Grey 8b929b, Brown 7c4f33"
    ),
    "plastic": _colours(
        "Black 2b2c31, White f0efec, Red d43a40, Blue 3268c4, Mint 8fd3bd, Pink f08fae, Yellow f4c94a, Purple 7d5bb5, "
        "Grey 878e97, Teal 259698"
    ),
    "device": _colours(
        "Black 2a2b30, Space Grey 5c6068, Silver c9cdd2, White eeeeec, Midnight Blue 2b3c5e, Champagne d9c19c, "
        "Red b9303a"
    ),
    "ceramic": _colours(
        "White f1eee6, Cream ecdcba, Terracotta c46a45, Cobalt Blue 2b55a4, Teal 2b8c8a, Sage 9db08c, Mustard d9a638, "
        "Charcoal 474a50, Blush e6b3a8, Red bf3b38, Turquoise 4fb8b5"
    ),
    "wood": _colours(
        "Oak c79a63, Walnut 6f4a31, Teak a8703e, Pine dcb67c, Mahogany 7c3a28, Ebony 3d3029, White e9e4da"
    ),
    "gem": _colours(
        "Amber eaa344, Rose ee9bb0, Aqua 8fd0dd, Lilac bda0dd, Emerald 4fae86, Ruby c63b58, Sapphire 4a72c4, "
        "Champagne ecd9a6"
    ),
    "lips": _colours(
        "Ruby Red b81f36, Coral ee6a54, Rose Pink e2688c, Berry 8d2450, Nude cf9078, Plum 642a4f, Fuchsia d62e83, "
        "Brick a5452f"
    ),
    "pastel": _colours(
        "Baby Blue a9d0ee, Baby Pink f6bccb, Mint b4e2cb, Lemon f7e499, Lilac d3c2ec, Peach f9cfb0, White f3f0ea, "
        "Grey c6cad0"
    ),
    "fur": _colours(
        "Honey d79f58, Brown 8b5a38, Cream ecd9b4, White f0ebe2, Grey 9aa0a6, Pink f0aebd, Chocolate 5d3b29"
    ),
    "ball": _colours("Orange dd7a31, Brown b0622f, Red c23c33, Blue 3a66b5, Black 33343a"),
}

# Colours of brand accents.
ACCENTS: tuple[RGB, ...] = (
    (214, 60, 60), (240, 140, 50), (245, 200, 66), (76, 160, 90), (32, 140, 150), (60, 110, 200),
    (110, 80, 170), (220, 90, 140), (40, 44, 56), (236, 232, 222), (190, 150, 70),
)  # fmt: skip


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """Return the colour that lies `share` (0..1) of the way from `first` to `second`."""
    a, b, c = (round(x + (y - x) * share) for x, y in zip(first, second, strict=True))
    return a, b, c


def lighter(colour: RGB, share: float = 0.3) -> RGB:
    """Return the colour mixed with `share` (0..1) of white."""
    return mix(colour, (255, 255, 255), share)


def darker(colour: RGB, share: float = 0.3) -> RGB:
    """Return the colour mixed with `share` (0..1) of black."""
    return mix(colour, (8, 6, 14), share)


def brightness(colour: RGB) -> float:
    """Return the perceived brightness, 0 (black) to 1 (white)."""
    r, g, b = colour
    return (0.299 * r + 0.587 * g + 0.114 * b) / 255


def legible(colour: RGB) -> RGB:
    """Return the tone, near black or near white, of lettering on a colour."""
    return (52, 54, 62) if brightness(colour) > 0.5 else (240, 240, 236)
