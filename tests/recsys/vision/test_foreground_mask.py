"""What is taken for the product: drawn pictures whose product is known, as the store keeps them (squared, JPEG)."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from recsys.vision.foreground_mask import SEAM, product_mask
from recsys.vision.square import decode_squared, encode, square

RED, BLUE, CREAM, DARK = (200, 30, 40), (30, 60, 200), (245, 235, 205), (38, 36, 40)


def scene(width: int, height: int, ground: tuple[int, int, int]) -> np.ndarray:
    """Return an empty picture with the noise of a camera."""
    noise = np.random.default_rng(0).normal(0, 1, (height, width, 1))
    return np.clip(np.array(ground) + noise, 0, 255).astype(np.uint8)


def kept(image: np.ndarray, thing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask of a picture and the truth (side, side), both by way of the store's JPEG."""
    mask = product_mask(decode_squared(encode(square(image), 95)))
    truth = square(np.where(thing[..., None], np.uint8(0), np.uint8(255)).repeat(3, axis=2)).mean(axis=2) < 128
    return mask, truth


def agree(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return intersection over union."""
    return float((mask & truth).sum() / (mask | truth).sum())


def disc(width: int, height: int, x: float = 0.5, radius: float = 0.3) -> np.ndarray:
    thing = np.zeros((height, width), np.uint8)
    cv2.circle(thing, (int(x * width), height // 2), int(radius * min(width, height)), 255, -1)
    return thing > 0


@pytest.mark.parametrize(("width", "height"), [(400, 400), (900, 300), (211, 977), (256, 255), (640, 427)])
@pytest.mark.parametrize("ground", [(255, 255, 255), (249, 249, 249), DARK, (128, 150, 170)])
def test_a_product_before_a_plain_ground_is_found_at_any_shape(
    width: int, height: int, ground: tuple[int, int, int]
) -> None:
    image, thing = scene(width, height, ground), disc(width, height, radius=0.42)
    image[thing] = RED
    assert agree(*kept(image, thing)) > 0.9


@pytest.mark.parametrize("side", [0.0, 1.0])
def test_a_product_that_the_picture_cuts_is_found(side: float) -> None:
    image, thing = scene(400, 300, (255, 255, 255)), disc(400, 300, x=side, radius=0.45)
    image[thing] = BLUE
    assert agree(*kept(image, thing)) > 0.9


def test_a_transparent_picture_on_white_keeps_its_soft_edge_out() -> None:
    alpha = cv2.GaussianBlur(disc(300, 300).astype(np.float32), (0, 0), 2)[..., None]
    image = (255 * (1 - alpha) + np.array(RED) * alpha).astype(np.uint8)
    mask, truth = kept(image, disc(300, 300))
    assert agree(mask, truth) > 0.85


def test_white_inside_a_product_belongs_to_it() -> None:
    image, thing = scene(300, 300, (255, 255, 255)), disc(300, 300)
    image[thing] = RED
    image[disc(300, 300, radius=0.15)] = 255  # a watch's dial
    assert agree(*kept(image, thing)) > 0.9


def test_a_pale_product_with_a_grey_outline_is_not_lost_through_a_gap_in_it() -> None:
    image = scene(300, 300, (255, 255, 255))
    image[60:240, 60:240] = 253
    cv2.rectangle(image, (60, 60), (240, 240), (200, 200, 200), 3)
    image[150, 58:64] = 255  # one pixel of it is missing
    mask = product_mask(square(image))
    assert mask[100:150, 100:150].all()


@pytest.mark.parametrize("colour", [(255, 255, 255), (252, 252, 252)])
def test_of_white_on_white_the_whole_square_counts(colour: tuple[int, int, int]) -> None:
    image = scene(300, 300, (255, 255, 255))
    image[100:200, 100:200] = colour
    assert product_mask(square(image)).all()


@pytest.mark.parametrize(("width", "height"), [(300, 100), (100, 300), (333, 332)])
def test_a_room_or_a_pattern_counts_to_its_edges_and_its_border_never(width: int, height: int) -> None:
    random = np.random.default_rng(1)
    room = cv2.resize(
        random.integers(0, 200, (6, 6, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    mask, truth = kept(room, np.ones((height, width), bool))
    assert not (mask & ~truth).any()
    rows, columns = np.flatnonzero(truth.any(axis=1))[[0, -1]], np.flatnonzero(truth.any(axis=0))[[0, -1]]
    seam = SEAM + 2
    assert mask[rows[0] + seam : rows[1] - seam, columns[0] + seam : columns[1] - seam].all()


@pytest.mark.parametrize("width", range(90, 256, 11))
@pytest.mark.parametrize("colour", [RED, BLUE, (0, 255, 0), (255, 0, 255)])
def test_jpeg_ringing_about_the_border_does_not_mislead(width: int, colour: tuple[int, int, int]) -> None:
    image = scene(width, 256, colour)
    image[::2] //= 2  # stripes: not one colour, so all of it is the product
    mask, truth = kept(image, np.ones((256, width), bool))
    assert not (mask & ~truth).any()
    across = truth.any(axis=0).sum() - mask.any(axis=0).sum()
    assert 0 <= across <= 2 * (SEAM + 1)


def test_a_plain_towel_with_a_small_print_is_no_print_before_a_paper() -> None:
    towel = scene(200, 300, CREAM)
    towel[130:170, 80:120] = BLUE
    mask, truth = kept(towel, np.ones((300, 200), bool))
    assert agree(mask, truth) > 0.85


def test_nothing_but_one_colour_counts_in_whole() -> None:
    assert product_mask(np.full((256, 256, 3), 255, np.uint8)).all()
    assert product_mask(np.full((256, 256, 3), RED, np.uint8)).mean() > 0.9
