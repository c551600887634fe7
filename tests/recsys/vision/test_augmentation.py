"""Augmented pictures differ, are repeatable, and stay white where a product photo is white."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recsys.core.configuration import Augmentation
from recsys.vision.augmentation import augment
from recsys.vision.augmentation_layers import build_augmentation

UNCHANGED = {"rotation": 0.0, "flip": False, "hue": 0.0, "brightness": 0.0}


@pytest.fixture
def images() -> np.ndarray:
    """Coloured blocks on white: (6, 64, 64, 3) uint8."""
    images = np.full((6, 64, 64, 3), 255, np.uint8)
    blocks = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    images[:, 16:48, 16:48] = blocks.repeat(8, axis=1).repeat(8, axis=2)
    return images


def augment_on_device(images: np.ndarray, **settings: Any) -> np.ndarray:
    return np.asarray(build_augmentation(**settings)(images, training=True))


def test_equal_seeds_give_equal_pictures_and_other_seeds_others(images: np.ndarray) -> None:
    first = augment_on_device(images, seed=1)
    np.testing.assert_array_equal(first, augment_on_device(images, seed=1))
    other = augment_on_device(images, seed=2)
    assert all(np.abs(a - b).max() > 10 for a, b in zip(first, other, strict=True))


def test_a_second_call_gives_other_repeatable_pictures(images: np.ndarray) -> None:
    model, same_model = build_augmentation(seed=1), build_augmentation(seed=1)
    calls = [np.asarray(model(images, training=True)) for _ in range(2)]
    assert np.abs(calls[0] - calls[1]).max() > 10
    for call in calls:
        np.testing.assert_array_equal(call, np.asarray(same_model(images, training=True)))


def test_shape_and_range_are_kept(images: np.ndarray) -> None:
    for pixels in (images, images.astype(np.float32)):
        varied = augment_on_device(pixels, brightness=0.49)
        assert varied.shape == images.shape and varied.dtype == np.float32
        assert varied.min() >= 0 and varied.max() <= 255


def test_white_corners_stay_white_under_rotation(images: np.ndarray) -> None:
    black = images.copy()
    black[:, :, :32] = 0  # so that a rotation by up to 45 degrees uncovers a corner next to black
    rotated = augment_on_device(images, **{**UNCHANGED, "rotation": 45.0})
    np.testing.assert_allclose(rotated[:, [0, 0, -1, -1], [0, -1, 0, -1]], 255, atol=0.01)
    assert (np.abs(rotated - images).max(axis=(1, 2, 3)) > 10).all()
    uncovered = augment_on_device(black, **{**UNCHANGED, "rotation": 45.0})[:, [0, -1], 0]
    assert uncovered.max() == pytest.approx(255)


def test_about_half_of_the_pictures_are_mirrored_left_to_right(images: np.ndarray) -> None:
    many = images[:1].repeat(64, axis=0)
    varied = augment_on_device(many, **{**UNCHANGED, "flip": True})
    mirrored = (np.abs(varied - many[:, :, ::-1]) < 1).all(axis=(1, 2, 3))
    unflipped = (np.abs(varied - many) < 1).all(axis=(1, 2, 3))
    assert (mirrored ^ unflipped).all()
    assert 16 < mirrored.sum() < 48


def test_hue_shifts_are_limited_and_keep_white(images: np.ndarray) -> None:
    red = np.broadcast_to(np.array([255, 0, 0], np.uint8), (64, 8, 8, 3))
    shifted = augment_on_device(red, **{**UNCHANGED, "hue": 0.1})[:, 0, 0]
    other = np.maximum(shifted[:, 1], shifted[:, 2])
    assert 0.4 * 255 < other.max() <= 0.6 * 255 + 1  # 0.1 of the circle is 0.6 of the way to yellow
    assert shifted[:, 1].max() > 50 and shifted[:, 2].max() > 50  # to both sides
    varied = augment_on_device(images, **{**UNCHANGED, "hue": 0.5})
    np.testing.assert_allclose(varied[:, 0], 255, atol=0.5)


def test_brightness_changes_are_limited_and_keep_white_and_black(images: np.ndarray) -> None:
    grey = np.full((64, 8, 8, 3), 128, np.uint8)
    moved = augment_on_device(grey, **{**UNCHANGED, "brightness": 0.2})[:, 0, 0, 0] - 128
    assert -52 <= moved.min() < -35 and 35 < moved.max() <= 52
    varied = augment_on_device(images, **{**UNCHANGED, "brightness": 0.4})
    np.testing.assert_allclose(varied[:, 0], 255, atol=0.5)
    assert (np.abs(varied - images).max(axis=(1, 2, 3)) > 5).all()
    assert augment_on_device(np.zeros_like(images), **{**UNCHANGED, "brightness": 0.4}).max() == 0


def test_both_augmentations_change_brightness_alike() -> None:
    grey = np.linspace(0, 255, 32, dtype=np.uint8)[None, :, None, None].repeat(3, axis=3).repeat(64, axis=0)
    colours = grey * np.array([1.0, 0.5, 0.25])
    on_device = augment_on_device(colours.astype(np.float32), **{**UNCHANGED, "brightness": 0.3})
    settings = Augmentation(**{**UNCHANGED, "brightness": 0.3})
    in_memory = augment(colours.astype(np.uint8), np.arange(64), settings)
    for picture in on_device[:8]:  # some picture of the 64 has nearly the same random brightness
        differences = np.abs(in_memory - picture).max(axis=(1, 2, 3))
        assert differences.min() < 12


def test_nothing_changes_outside_training_or_with_all_settings_off(images: np.ndarray) -> None:
    np.testing.assert_allclose(augment_on_device(images, **UNCHANGED), images, atol=0.5)
    np.testing.assert_array_equal(np.asarray(build_augmentation(seed=1)(images, training=False)), images)


# --- in memory ------------------------------------------------------------------------------------------------------


SEEDS = np.array([3, 1, 4, 15, 9, 2**60])


def test_a_variation_depends_only_on_the_picture_and_its_seed(images: np.ndarray) -> None:
    varied = augment(images, SEEDS, Augmentation())
    assert varied.shape == images.shape and varied.dtype == np.uint8
    one_by_one = [augment(images[[row]], SEEDS[[row]], Augmentation())[0] for row in range(6)]
    np.testing.assert_array_equal(varied, one_by_one)
    np.testing.assert_array_equal(varied[::-1], augment(images[::-1], SEEDS[::-1], Augmentation()))
    other = augment(images, SEEDS + 1, Augmentation())
    assert all(np.abs(a.astype(int) - b).max() > 10 for a, b in zip(varied, other, strict=True))
    assert len({picture.tobytes() for picture in augment(images[[0] * 6], SEEDS, Augmentation())}) == 6


def test_white_stays_white_and_uncovered_corners_become_white(images: np.ndarray) -> None:
    varied = augment(images, SEEDS, Augmentation(hue=0.5, brightness=0.4))
    assert (varied[:, :6] == 255).all() and (varied[:, :, -6:] == 255).all()
    black = np.zeros((6, 64, 64, 3), np.uint8)
    rotated = augment(black, np.arange(2, 8), Augmentation(rotation=45, brightness=0.4))
    assert (rotated[:, [0, 0, -1, -1], [0, -1, 0, -1]].max(axis=(1, 2)) > 200).all()
    assert (rotated[:, 24:40, 24:40] == 0).all()


def test_each_variation_is_within_its_limit(images: np.ndarray) -> None:
    unchanged, seeds = Augmentation(**UNCHANGED), np.arange(64)
    np.testing.assert_allclose(augment(images, SEEDS, unchanged).astype(int), images, atol=1)
    many = images[:1].repeat(64, axis=0)

    mirrored = augment(many, seeds, unchanged.model_copy(update={"flip": True})).astype(int)
    is_mirrored = (np.abs(mirrored - many[:, :, ::-1]) <= 1).all(axis=(1, 2, 3))
    assert (is_mirrored ^ (np.abs(mirrored - many) <= 1).all(axis=(1, 2, 3))).all()
    assert 16 < is_mirrored.sum() < 48

    grey = np.full((64, 8, 8, 3), 128, np.uint8)
    moved = augment(grey, seeds, unchanged.model_copy(update={"brightness": 0.2})).astype(int)[:, 0, 0, 0] - 128
    assert -52 <= moved.min() < -35 and 35 < moved.max() <= 52

    red = np.zeros((64, 8, 8, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    shifted = augment(red, seeds, unchanged.model_copy(update={"hue": 0.1}))[:, 0, 0]  # as above
    assert 0.4 * 255 < shifted[:, 1:].max() <= 0.6 * 255 + 1
    assert shifted[:, 1].max() > 50 and shifted[:, 2].max() > 50

    bar = np.full((64, 65, 65, 3), 255, np.uint8)
    bar[:, 32, 8:57] = 0  # 49 pixels: 10 degrees lift the ends by 24 sin 10° = 4.2
    rows = np.nonzero((augment(bar, seeds, unchanged.model_copy(update={"rotation": 10.0})) < 200).any(axis=(2, 3)))[1]
    assert np.abs(rows - 32).max() == 4
