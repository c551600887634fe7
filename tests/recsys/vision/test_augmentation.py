"""Augmentation: varied, repeatable, and white where a product photo is white."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recsys.core.configuration import Augmentation
from recsys.vision.augmentation import augment as materialise
from recsys.vision.augmentation import build_augmentation

STILL = {"rotation": 0.0, "flip": False, "hue": 0.0, "brightness": 0.0}


@pytest.fixture
def images() -> np.ndarray:
    """Coloured blocks on white: (6, 64, 64, 3) uint8."""
    images = np.full((6, 64, 64, 3), 255, np.uint8)
    blocks = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    images[:, 16:48, 16:48] = blocks.repeat(8, axis=1).repeat(8, axis=2)
    return images


def augment(images: np.ndarray, **settings: Any) -> np.ndarray:
    return np.asarray(build_augmentation(**settings)(images, training=True))


def test_the_same_seed_gives_the_same_pictures_and_another_gives_others(images: np.ndarray) -> None:
    first = augment(images, seed=1)
    np.testing.assert_array_equal(first, augment(images, seed=1))
    other = augment(images, seed=2)
    assert all(np.abs(a - b).max() > 10 for a, b in zip(first, other, strict=True))


def test_a_second_call_gives_other_pictures_and_they_too_repeat(images: np.ndarray) -> None:
    model, again = build_augmentation(seed=1), build_augmentation(seed=1)
    calls = [np.asarray(model(images, training=True)) for _ in range(2)]
    assert np.abs(calls[0] - calls[1]).max() > 10
    for call in calls:
        np.testing.assert_array_equal(call, np.asarray(again(images, training=True)))


def test_shape_and_range_are_kept(images: np.ndarray) -> None:
    for pixels in (images, images.astype(np.float32)):
        varied = augment(pixels, brightness=0.49)
        assert varied.shape == images.shape and varied.dtype == np.float32
        assert varied.min() >= 0 and varied.max() <= 255


def test_white_corners_stay_white_under_rotation(images: np.ndarray) -> None:
    black = images.copy()
    black[:, :, :32] = 0  # so that a rotation by up to 45 degrees bares what is beyond the picture
    turned = augment(images, **{**STILL, "rotation": 45.0})
    np.testing.assert_allclose(turned[:, [0, 0, -1, -1], [0, -1, 0, -1]], 255, atol=0.01)
    assert (np.abs(turned - images).max(axis=(1, 2, 3)) > 10).all()
    bared = augment(black, **{**STILL, "rotation": 45.0})[:, [0, -1], 0]
    assert bared.max() == pytest.approx(255)


def test_about_half_of_the_pictures_are_mirrored_left_to_right(images: np.ndarray) -> None:
    many = images[:1].repeat(64, axis=0)
    mirrored = (np.abs(augment(many, **{**STILL, "flip": True}) - many[:, :, ::-1]) < 1).all(axis=(1, 2, 3))
    kept = (np.abs(augment(many, **{**STILL, "flip": True}) - many) < 1).all(axis=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert 16 < mirrored.sum() < 48


def test_hue_turns_colours_no_further_than_asked_and_leaves_white(images: np.ndarray) -> None:
    red = np.broadcast_to(np.array([255, 0, 0], np.uint8), (64, 8, 8, 3))
    turned = augment(red, **{**STILL, "hue": 0.1})[:, 0, 0]  # 0.1 of the circle: 0.6 of the way to yellow
    other = np.maximum(turned[:, 1], turned[:, 2])
    assert 0.4 * 255 < other.max() <= 0.6 * 255 + 1
    assert turned[:, 1].max() > 50 and turned[:, 2].max() > 50  # to either side
    varied = augment(images, **{**STILL, "hue": 0.5})
    np.testing.assert_allclose(varied[:, 0], 255, atol=0.5)


def test_brightness_moves_middle_grey_no_further_than_asked_and_leaves_white_and_black(images: np.ndarray) -> None:
    grey = np.full((64, 8, 8, 3), 128, np.uint8)
    moved = augment(grey, **{**STILL, "brightness": 0.2})[:, 0, 0, 0] - 128
    assert -52 <= moved.min() < -35 and 35 < moved.max() <= 52
    varied = augment(images, **{**STILL, "brightness": 0.4})
    np.testing.assert_allclose(varied[:, 0], 255, atol=0.5)
    assert (np.abs(varied - images).max(axis=(1, 2, 3)) > 5).all()
    assert augment(np.zeros_like(images), **{**STILL, "brightness": 0.4}).max() == 0


def test_on_the_fly_and_materialised_make_the_same_of_a_brightness() -> None:
    grey = np.linspace(0, 255, 32, dtype=np.uint8)[None, :, None, None].repeat(3, axis=3).repeat(64, axis=0)
    colours = grey * np.array([1.0, 0.5, 0.25])
    made = augment(colours.astype(np.float32), **{**STILL, "brightness": 0.3})
    settings = Augmentation(**{**STILL, "brightness": 0.3})
    all_of_them = materialise(colours.astype(np.uint8), np.arange(64), settings)
    for picture in made[:8]:  # one of those that were materialised lies as near as both draw finely
        apart = np.abs(all_of_them - picture).max(axis=(1, 2, 3))
        assert apart.min() < 12


def test_with_everything_off_or_outside_training_nothing_changes(images: np.ndarray) -> None:
    np.testing.assert_allclose(augment(images, **STILL), images, atol=0.5)
    np.testing.assert_array_equal(np.asarray(build_augmentation(seed=1)(images, training=False)), images)


# --- materialised ---------------------------------------------------------------------------------------------------


SEEDS = np.array([3, 1, 4, 15, 9, 2**60])


def test_a_picture_and_its_seed_give_the_same_variation_alone_and_in_any_batch(images: np.ndarray) -> None:
    varied = materialise(images, SEEDS, Augmentation())
    assert varied.shape == images.shape and varied.dtype == np.uint8
    alone = [materialise(images[[row]], SEEDS[[row]], Augmentation())[0] for row in range(6)]
    np.testing.assert_array_equal(varied, alone)
    np.testing.assert_array_equal(varied[::-1], materialise(images[::-1], SEEDS[::-1], Augmentation()))
    other = materialise(images, SEEDS + 1, Augmentation())
    assert all(np.abs(a.astype(int) - b).max() > 10 for a, b in zip(varied, other, strict=True))
    assert len({picture.tobytes() for picture in materialise(images[[0] * 6], SEEDS, Augmentation())}) == 6


def test_a_materialised_picture_is_white_where_its_source_is_and_where_it_was_bared(images: np.ndarray) -> None:
    varied = materialise(images, SEEDS, Augmentation(hue=0.5, brightness=0.4))
    assert (varied[:, :6] == 255).all() and (varied[:, :, -6:] == 255).all()
    black = np.zeros((6, 64, 64, 3), np.uint8)
    turned = materialise(black, np.arange(2, 8), Augmentation(rotation=45, brightness=0.4))
    assert (turned[:, [0, 0, -1, -1], [0, -1, 0, -1]].max(axis=(1, 2)) > 200).all()
    assert (turned[:, 24:40, 24:40] == 0).all()


def test_each_materialised_variation_stays_within_its_setting(images: np.ndarray) -> None:
    still, seeds = Augmentation(**STILL), np.arange(64)
    np.testing.assert_allclose(materialise(images, SEEDS, still).astype(int), images, atol=1)
    many = images[:1].repeat(64, axis=0)

    mirrored = materialise(many, seeds, still.model_copy(update={"flip": True})).astype(int)
    is_mirrored = (np.abs(mirrored - many[:, :, ::-1]) <= 1).all(axis=(1, 2, 3))
    assert (is_mirrored ^ (np.abs(mirrored - many) <= 1).all(axis=(1, 2, 3))).all()
    assert 16 < is_mirrored.sum() < 48

    grey = np.full((64, 8, 8, 3), 128, np.uint8)
    moved = materialise(grey, seeds, still.model_copy(update={"brightness": 0.2})).astype(int)[:, 0, 0, 0] - 128
    assert -52 <= moved.min() < -35 and 35 < moved.max() <= 52

    red = np.zeros((64, 8, 8, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    turned = materialise(red, seeds, still.model_copy(update={"hue": 0.1}))[:, 0, 0]  # see above
    assert 0.4 * 255 < turned[:, 1:].max() <= 0.6 * 255 + 1
    assert turned[:, 1].max() > 50 and turned[:, 2].max() > 50

    bar = np.full((64, 65, 65, 3), 255, np.uint8)
    bar[:, 32, 8:57] = 0  # of 49 pixels: 10 degrees lift its ends by 24 sin 10 = 4.2
    rows = np.nonzero((materialise(bar, seeds, still.model_copy(update={"rotation": 10.0})) < 200).any(axis=(2, 3)))[1]
    assert np.abs(rows - 32).max() == 4
