"""Masks of synthetic pictures with a known product, as the store keeps them (squared, JPEG)."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from recsys.vision.foreground_mask import SEAM, product_mask
from recsys.vision.square import decode_squared, encode, square

RED, BLUE, CREAM, DARK = (200, 30, 40), (30, 60, 200), (245, 235, 205), (38, 36, 40)


def scene(width: int, height: int, ground: tuple[int, int, int]) -> np.ndarray:
    """Return an empty picture with camera noise."""
    noise = np.random.default_rng(0).normal(0, 1, (height, width, 1))
    return np.clip(np.array(ground) + noise, 0, 255).astype(np.uint8)


def mask_and_truth(image: np.ndarray, product: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask (side, side) of a picture after a round trip through JPEG, and the true mask."""
    mask = product_mask(decode_squared(encode(square(image), 95)))
    truth = square(np.where(product[..., None], np.uint8(0), np.uint8(255)).repeat(3, axis=2)).mean(axis=2) < 128
    return mask, truth


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return intersection over union."""
    return float((mask & truth).sum() / (mask | truth).sum())


def disc(width: int, height: int, x: float = 0.5, radius: float = 0.3) -> np.ndarray:
    product = np.zeros((height, width), np.uint8)
    cv2.circle(product, (int(x * width), height // 2), int(radius * min(width, height)), 255, -1)
    return product > 0


@pytest.mark.parametrize(("width", "height"), [(400, 400), (900, 300), (211, 977), (256, 255), (640, 427)])
@pytest.mark.parametrize("ground", [(255, 255, 255), (249, 249, 249), DARK, (128, 150, 170)])
def test_a_product_on_a_plain_background_is_found_in_any_shape_of_picture(
    width: int, height: int, ground: tuple[int, int, int]
) -> None:
    image, product = scene(width, height, ground), disc(width, height, radius=0.42)
    image[product] = RED
    assert overlap(*mask_and_truth(image, product)) > 0.9


@pytest.mark.parametrize("side", [0.0, 1.0])
def test_a_product_cut_by_an_edge_is_found(side: float) -> None:
    image, product = scene(400, 300, (255, 255, 255)), disc(400, 300, x=side, radius=0.45)
    image[product] = BLUE
    assert overlap(*mask_and_truth(image, product)) > 0.9


def test_the_soft_edge_of_a_transparent_picture_on_white_is_excluded() -> None:
    alpha = cv2.GaussianBlur(disc(300, 300).astype(np.float32), (0, 0), 2)[..., None]
    image = (255 * (1 - alpha) + np.array(RED) * alpha).astype(np.uint8)
    mask, truth = mask_and_truth(image, disc(300, 300))
    assert overlap(mask, truth) > 0.85


def test_white_inside_a_product_is_product() -> None:
    image, product = scene(300, 300, (255, 255, 255)), disc(300, 300)
    image[product] = RED
    image[disc(300, 300, radius=0.15)] = 255  # a watch's dial
    assert overlap(*mask_and_truth(image, product)) > 0.9


def test_a_pale_product_is_found_though_its_outline_has_a_gap() -> None:
    image = scene(300, 300, (255, 255, 255))
    image[60:240, 60:240] = 253
    cv2.rectangle(image, (60, 60), (240, 240), (200, 200, 200), 3)
    image[150, 58:64] = 255  # a gap of one pixel
    mask = product_mask(square(image))
    assert mask[100:150, 100:150].all()


@pytest.mark.parametrize("colour", [(255, 255, 255), (252, 252, 252)])
def test_the_whole_square_counts_for_white_on_white(colour: tuple[int, int, int]) -> None:
    image = scene(300, 300, (255, 255, 255))
    image[100:200, 100:200] = colour
    assert product_mask(square(image)).all()


@pytest.mark.parametrize(("width", "height"), [(300, 100), (100, 300), (333, 332)])
def test_a_room_or_a_pattern_is_all_product_and_its_border_is_not(width: int, height: int) -> None:
    random = np.random.default_rng(1)
    room = cv2.resize(
        random.integers(0, 200, (6, 6, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    mask, truth = mask_and_truth(room, np.ones((height, width), bool))
    assert not (mask & ~truth).any()
    rows, columns = np.flatnonzero(truth.any(axis=1))[[0, -1]], np.flatnonzero(truth.any(axis=0))[[0, -1]]
    seam = SEAM + 2
    assert mask[rows[0] + seam : rows[1] - seam, columns[0] + seam : columns[1] - seam].all()


@pytest.mark.parametrize("width", range(90, 256, 11))
@pytest.mark.parametrize("colour", [RED, BLUE, (0, 255, 0), (255, 0, 255)])
def test_jpeg_ringing_at_the_border_has_no_effect(width: int, colour: tuple[int, int, int]) -> None:
    image = scene(width, 256, colour)
    image[::2] //= 2  # stripes: not one colour, so all of it is product
    mask, truth = mask_and_truth(image, np.ones((256, width), bool))
    assert not (mask & ~truth).any()
    missing_columns = truth.any(axis=0).sum() - mask.any(axis=0).sum()
    assert 0 <= missing_columns <= 2 * (SEAM + 1)


def test_a_plain_towel_with_a_small_print_is_all_product() -> None:
    towel = scene(200, 300, CREAM)
    towel[130:170, 80:120] = BLUE
    mask, truth = mask_and_truth(towel, np.ones((300, 200), bool))
    assert overlap(mask, truth) > 0.85


def test_a_picture_of_one_colour_is_all_product() -> None:
    assert product_mask(np.full((256, 256, 3), 255, np.uint8)).all()
    assert product_mask(np.full((256, 256, 3), RED, np.uint8)).mean() > 0.9
