import numpy as np

from recsys.colour import chi_square, colour_score, histogram, histogram_size
from recsys.configuration import Colour

SETTINGS = Colour()


def plain(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((64, 64, 3), (red, green, blue), dtype=np.uint8)


def test_a_histogram_has_12_by_8_by_8_bins_and_sums_to_one() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    bins = histogram(noise, SETTINGS)
    assert bins.shape == (768,) == (histogram_size(SETTINGS),)
    np.testing.assert_allclose(bins.sum(), 1, rtol=1e-6)


def test_the_same_colours_score_one_and_no_common_colour_zero() -> None:
    red, blue = histogram(plain(255, 0, 0), SETTINGS), histogram(plain(0, 0, 255), SETTINGS)
    np.testing.assert_allclose(colour_score(red, red), 1, atol=1e-6)
    np.testing.assert_allclose(colour_score(red, blue), 0, atol=1e-6)


def test_the_distance_is_chi_square() -> None:
    a, b = np.array([0.5, 0.5, 0], dtype=np.float32), np.array([0.25, 0.25, 0.5], dtype=np.float32)
    slow = 0.5 * sum((x - y) ** 2 / (x + y) for x, y in zip(a, b, strict=True))
    np.testing.assert_allclose(chi_square(a, b), slow, rtol=1e-5)


def test_the_distance_grows_with_the_share_of_another_colour() -> None:
    red = plain(255, 0, 0)
    shares = []
    for rows in (0, 8, 32, 64):
        mixed = red.copy()
        mixed[:rows] = (0, 0, 255)
        shares.append(float(chi_square(histogram(red, SETTINGS), histogram(mixed, SETTINGS))))
    assert shares == sorted(shares) and len(set(shares)) == 4


def test_it_compares_many_with_many() -> None:
    rng = np.random.default_rng(1)
    a, b = (x / x.sum(-1, keepdims=True) for x in (rng.random((3, 1, 10)), rng.random((3, 5, 10))))
    together = chi_square(a.astype(np.float32), b.astype(np.float32))
    assert together.shape == (3, 5)
    np.testing.assert_allclose(together[2, 4], chi_square(a[2, 0], b[2, 4]), rtol=1e-5)
