"""Perceptual hashes find variants of one photo, keep different products apart, and split chains."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from recsys.vision import perceptual_hash
from recsys.vision.perceptual_hash import DISTANCE, MIRROR_BITS, fingerprint, near_duplicates
from recsys.vision.square import decode_squared, encode, read_photo, square
from sample_shop import SampleShop

VARIANTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "recompressed": lambda image: decode_squared(encode(image, 40)),
    "halved": lambda image: square(cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA), 256),
    "brightened": lambda image: np.clip(image * 1.05 + 2, 0, 255).astype(np.uint8),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
}
"""Changes that sellers make to a photo."""


def fingerprints(pictures: np.ndarray) -> np.ndarray:
    return np.array([fingerprint(picture) for picture in pictures])


def numbers(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


@pytest.fixture(scope="module")
def drawings(shop: SampleShop) -> np.ndarray:
    """Return the pictures of a sample shop: (n, 256, 256, 3) uint8."""
    return np.stack([read_photo(path) for path in sorted((shop.folder / "images").iterdir())])


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> np.ndarray:
    """Return the real photos: (797, 256, 256, 3) uint8."""
    paths = sorted((shared_data / "flipkart-photos" / "images").iterdir())
    return np.stack([read_photo(path) for path in paths])


# --- the fingerprint ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_a_picture_are_the_same_photo(drawings: np.ndarray, variant: str) -> None:
    changed = np.stack([VARIANTS[variant](picture) for picture in drawings])
    pairs = zip(fingerprints(drawings), fingerprints(changed), strict=True)
    same = [len(set(near_duplicates(numbers(int(one), int(other))))) == 1 for one, other in pairs]
    assert np.mean(same) >= 0.95


def test_pictures_of_different_products_are_different_photos(drawings: np.ndarray) -> None:
    photos = np.bincount(near_duplicates(fingerprints(drawings)))
    assert len(photos) >= 0.95 * len(drawings)
    assert photos.max() <= 2


def test_mirroring_flips_the_bits_of_odd_horizontal_frequencies(drawings: np.ndarray) -> None:
    one = fingerprint(drawings[0])
    assert isinstance(one, np.uint64)
    assert np.bitwise_count(fingerprint(VARIANTS["mirrored"](drawings[0])) ^ one ^ MIRROR_BITS) <= 2
    assert np.bitwise_count(MIRROR_BITS) == 32


@pytest.mark.parametrize("colour", [0, 77, 255])
def test_the_fingerprint_of_a_picture_of_one_colour_is_zero(colour: int) -> None:
    assert fingerprint(np.full((256, 256, 3), colour, np.uint8)) == 0


# --- one photo ------------------------------------------------------------------------------------------------------


def test_photos_are_numbered_in_the_order_of_first_appearance() -> None:
    far, near = (1 << 40) - 1, 0b11111
    photos = near_duplicates(numbers(far, 0, far ^ 1, near, 1 << 63, 0))
    assert photos.tolist() == [0, 1, 0, 1, 1, 1]
    assert photos.dtype == np.int64
    assert near_duplicates(numbers()).tolist() == []
    assert near_duplicates(numbers(7)).tolist() == [0]


@pytest.mark.parametrize("many", [0, 50_000])
def test_fingerprints_within_the_distance_are_one_photo_whatever_bits_differ(
    many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perceptual_hash, "MANY", many)  # from which other bits are compared first
    generator = np.random.default_rng(0)
    values = generator.integers(0, 2**64, 300, dtype=np.uint64)

    def changed(bits: int) -> np.ndarray:
        flips = [generator.choice(64, bits, replace=False) for _ in values]
        return values ^ np.array([sum(1 << int(bit) for bit in flip) for flip in flips], np.uint64)

    for mirror in (np.uint64(0), MIRROR_BITS):
        photos = near_duplicates(np.concatenate([values, changed(DISTANCE) ^ mirror]))
        assert photos.tolist() == [*range(300), *range(300)]
        photos = near_duplicates(np.concatenate([values, changed(DISTANCE + 1) ^ mirror]))
        assert photos.tolist() == list(range(600))


def test_a_long_chain_is_split_but_identical_pictures_are_not() -> None:
    chain = [(1 << step) - 1 for step in range(60)]  # neighbours differ in 1 bit, first and last in 59
    photos = near_duplicates(numbers(*chain, *[1 << 63] * 500))
    assert len(set(photos[:60])) == 60
    assert len(set(photos[60:])) == 1
    assert len(set(near_duplicates(numbers(*chain[:50])))) == 1  # a short chain may be variants of one photo


def test_100_000_pictures_take_seconds() -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(0, 2**64, 100_000, dtype=np.uint64)
    values[50_000:60_000] = values[:10_000] ^ np.uint64(1 << 17)
    start = time.monotonic()
    photos = near_duplicates(values)
    assert time.monotonic() - start < 30  # 1.5 s on a quiet machine
    assert len(set(photos)) == 90_000


# --- real data ------------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_only_copies_of_one_real_photo_are_grouped(photos: np.ndarray) -> None:
    """Checked by eye: seven photos, of which one is recoloured and one recompressed."""
    sizes = np.bincount(near_duplicates(fingerprints(photos)))
    assert sorted(sizes[sizes > 1], reverse=True) == [5, 4, 3, 3, 3, 2, 2]


@pytest.mark.shared
@pytest.mark.parametrize(("variant", "minimum"), [("recompressed", 0.99), ("halved", 0.98), ("mirrored", 0.99)])
def test_variants_of_real_photos_are_found(photos: np.ndarray, variant: str, minimum: float) -> None:
    one = fingerprints(photos)
    other = fingerprints(np.stack([VARIANTS[variant](photo) for photo in photos]))
    distance = np.minimum(np.bitwise_count(one ^ other), np.bitwise_count(one ^ other ^ MIRROR_BITS))
    assert np.mean(distance <= DISTANCE) >= minimum
