"""Histograms of colours, with and without the product mask, and their distance."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import convolve1d

from recsys.core.configuration import Colour
from recsys.vision.colour import SMOOTHING, chi_square, colour_score, histogram, histogram_size, smoothed, version

SETTINGS = Colour()
ORIGINAL = Colour(mask="none")


def plain(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((64, 64, 3), (red, green, blue), dtype=np.uint8)


def test_a_histogram_has_12_by_8_by_8_bins_and_sums_to_one() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    bins = histogram(noise, SETTINGS)
    assert bins.shape == (768,) == (histogram_size(SETTINGS),)
    np.testing.assert_allclose(bins.sum(), 1, rtol=1e-6)


def original_histogram(image: np.ndarray) -> np.ndarray:
    """Return the histogram of the original project: the whole square, without a mask."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, [12, 8, 8], [0, 180, 0, 256, 0, 256]).ravel()
    return (counts / counts.sum()).astype(np.float32)


def on_white(colour: tuple[int, int, int], size: int) -> np.ndarray:
    """Return a squared picture (256, 256, 3) with a square product in the centre."""
    image, start = plain_square(255, 255, 255), (256 - size) // 2
    image[start : start + size, start : start + size] = colour
    return image


def plain_square(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((256, 256, 3), (red, green, blue), dtype=np.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_without_mask_the_histogram_equals_the_originals_bit_for_bit(seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    for image in (noise, cv2.GaussianBlur(noise, (0, 0), 20), on_white((10, 200, 30), 90)):
        assert histogram(image, ORIGINAL).tobytes() == original_histogram(image).tobytes()


def test_masked_and_unmasked_histograms_have_different_versions() -> None:
    assert version(ORIGINAL) == "hsv12x8x8"  # the name before the mask existed, so stored histograms stay valid
    assert version(SETTINGS).startswith("hsv12x8x8-product")


def test_with_mask_the_product_has_more_weight_than_the_background() -> None:
    small_red, small_blue, large_red = (
        on_white((200, 30, 40), 70),
        on_white((30, 60, 200), 70),
        on_white((200, 30, 40), 200),
    )

    def score(one: np.ndarray, other: np.ndarray, settings: Colour) -> float:
        return float(colour_score(histogram(one, settings), histogram(other, settings)))

    assert score(small_red, small_blue, ORIGINAL) > score(small_red, large_red, ORIGINAL)
    assert score(small_red, small_blue, SETTINGS) < 0.1 and score(small_red, large_red, SETTINGS) > 0.9


def test_hues_on_both_sides_of_a_bin_edge_are_similar() -> None:
    hues = [cv2.cvtColor(np.full((256, 256, 3), (hue, 200, 200), np.uint8), cv2.COLOR_HSV2RGB) for hue in (14, 15, 100)]
    first, second, distant = (histogram(hue, SETTINGS) for hue in hues)
    assert colour_score(first, second) > 0.2 and colour_score(first, distant) < 0.01
    low, high = (cv2.cvtColor(np.full((256, 256, 3), (h, 200, 200), np.uint8), cv2.COLOR_HSV2RGB) for h in (1, 178))
    assert colour_score(histogram(low, SETTINGS), histogram(high, SETTINGS)) > 0.2  # red is at both ends


@pytest.mark.parametrize("bins", [(1, 1, 1), (2, 1, 3), (180, 2, 2)])
def test_any_number_of_bins_works_with_mask(bins: tuple[int, int, int]) -> None:
    settings = Colour(hue_bins=bins[0], saturation_bins=bins[1], value_bins=bins[2])
    bins_of_picture = histogram(on_white((200, 30, 40), 90), settings)
    assert bins_of_picture.shape == (histogram_size(settings),)
    np.testing.assert_allclose(bins_of_picture.sum(), 1, rtol=1e-5)


def test_bins_share_with_their_neighbours_as_in_scipys_convolution() -> None:
    counts = np.random.default_rng(0).exponential(9, (12, 8, 8))
    expected = counts
    for axis, mode in enumerate(("wrap", "nearest", "nearest")):
        expected = convolve1d(expected, [SMOOTHING / 2, 1 - SMOOTHING, SMOOTHING / 2], axis=axis, mode=mode)
    np.testing.assert_array_equal(smoothed(counts), expected)


def test_the_score_is_one_for_equal_colours_and_zero_for_no_common_colour() -> None:
    red, blue = histogram(plain(255, 0, 0), SETTINGS), histogram(plain(0, 0, 255), SETTINGS)
    np.testing.assert_allclose(colour_score(red, red), 1, atol=1e-6)
    np.testing.assert_allclose(colour_score(red, blue), 0, atol=1e-6)


def test_the_distance_is_chi_square() -> None:
    a, b = np.array([0.5, 0.5, 0], dtype=np.float32), np.array([0.25, 0.25, 0.5], dtype=np.float32)
    expected = 0.5 * sum((x - y) ** 2 / (x + y) for x, y in zip(a, b, strict=True))
    np.testing.assert_allclose(chi_square(a, b), expected, rtol=1e-5)


def test_the_distance_grows_with_the_share_of_another_colour() -> None:
    red = plain(255, 0, 0)
    shares = []
    for rows in (0, 8, 32, 64):
        mixed = red.copy()
        mixed[:rows] = (0, 0, 255)
        shares.append(float(chi_square(histogram(red, SETTINGS), histogram(mixed, SETTINGS))))
    assert shares == sorted(shares) and len(set(shares)) == 4


def test_the_distance_broadcasts() -> None:
    rng = np.random.default_rng(1)
    a, b = (x / x.sum(-1, keepdims=True) for x in (rng.random((3, 1, 10)), rng.random((3, 5, 10))))
    together = chi_square(a.astype(np.float32), b.astype(np.float32))
    assert together.shape == (3, 5)
    np.testing.assert_allclose(together[2, 4], chi_square(a[2, 0], b[2, 4]), rtol=1e-5)
