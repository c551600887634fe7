"""Define a product's look: the input of its drawing function."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from sample_shop.drawing.canvas import Canvas, Fill, Pixels, Print
from sample_shop.drawing.palette import RGB, brightness, darker, lighter, mix
from sample_shop.drawing.patterns import pattern

Drawing = Callable[[Canvas, "Look"], None]


@dataclass
class Look:
    """Colours, pattern, brand and the random numbers that shape one product.

    Every view of the product gets the same look, and a drawing function draws its random numbers in the same
    order, so that all views show the same product.
    """

    colour: RGB
    second: RGB
    pattern: str
    brand: str
    accent: RGB
    emblem: int
    rng: np.random.Generator

    def vary(self, low: float, high: float) -> float:
        """Return a random measure between two limits."""
        return float(self.rng.uniform(low, high))

    def pick(self, *choices: object) -> int:
        """Return the index of one of several variants."""
        return int(self.rng.integers(len(choices)))

    def chance(self, share: float) -> bool:
        """Return whether the product has a feature that occurs in this share of its kind."""
        return bool(self.rng.random() < share)

    @cached_property
    def figure(self) -> RGB:
        """Return the colour of a print: the second colour, moved away from the first if they are too similar."""
        near = np.abs(np.subtract(self.colour, self.second)).sum() < 150
        if not near:
            return self.second
        return darker(self.second, 0.55) if brightness(self.colour) > 0.5 else lighter(self.second, 0.65)

    @cached_property
    def mark(self) -> RGB:
        """Return the brand's colour, legible on the product's colour."""
        if np.abs(np.subtract(self.colour, self.accent)).sum() > 160:
            return self.accent
        return darker(self.accent, 0.7) if brightness(self.colour) > 0.5 else lighter(self.accent, 0.75)

    @cached_property
    def tile(self) -> Pixels:
        """Return the tile of its pattern."""
        return pattern(self.pattern, self.colour, self.figure, mix(self.mark, self.figure, 0.3), self.rng)

    def cloth(self, size: float = 0.2, angle: float = 0) -> Fill:
        """Return its colour, or its pattern with a repeat of `size`."""
        return self.colour if self.pattern == "plain" else Print(self.tile, size, angle)

    def textured(self, name: str, colour: RGB, size: float, angle: float = 0) -> Print:
        """Return a textured material: denim, wood, knit."""
        return Print(_texture(name, colour), size, angle)


@lru_cache(maxsize=64)
def _texture(name: str, colour: RGB) -> Pixels:
    return pattern(name, colour, colour, colour, np.random.default_rng(1))
