"""The t-SNE map and the grid of recommendations as PNG, also for few points and unusual names."""

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from recsys.core.configuration import Configuration
from recsys.core.text import money
from recsys.evaluation.tsne import NO_LABEL, OTHER_LABELS, legend, tsne_picture, tsne_points
from recsys.reporting.pictures import grid_picture
from recsys.reporting.recommendation_grid import GridRow, Scores, Tile

CONFIGURATION = Configuration()


def tile(title: str = "Watch", scores: Scores | None = None) -> Tile:
    return Tile("id", np.full((256, 256, 3), 90, np.uint8), title, 1899.0, 2.0, "Watches", scores)


def row(neighbours: int, title: str = "Watch") -> GridRow:
    return GridRow(tile(title), tuple(tile(title, Scores(0.9, 1.2, -0.1, 1.5)) for _ in range(neighbours)))


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    return image


@pytest.mark.parametrize("n", [0, 1, 2, 4, 5, 6, 41, 130])
def test_any_number_of_products_has_a_map(n: int) -> None:
    embeddings = np.random.default_rng(n).normal(size=(n, 64)).astype(np.float32)
    points = tsne_points(embeddings, CONFIGURATION)
    assert points.shape == (n, 2)
    assert np.isfinite(points).all()
    opened(tsne_picture(points, ["A"] * n))


def test_the_map_separates_groups_and_is_reproducible() -> None:
    random = np.random.default_rng(0)
    centres = np.repeat(np.eye(2, 32) * 20, 30, axis=0)  # (60, 32)
    embeddings = (centres + random.normal(size=centres.shape)).astype(np.float32)
    points = tsne_points(embeddings, CONFIGURATION)
    one, other = points[:30], points[30:]
    between = np.linalg.norm(one.mean(axis=0) - other.mean(axis=0))
    assert between > 2 * max(one.std(axis=0).max(), other.std(axis=0).max())
    assert np.array_equal(points, tsne_points(embeddings, CONFIGURATION))


def test_identical_products_share_a_point() -> None:
    assert not tsne_points(np.ones((30, 8), np.float32), CONFIGURATION).any()


def test_20_labels_have_different_markers_and_the_others_share_one() -> None:
    labels = [f"label {number:02}" for number in range(23) for _ in range(40 - number)]
    entries = legend([*labels, None])
    assert len({(entry.colour, entry.marker) for entry in entries[:20]}) == 20
    assert [entry.label for entry in entries[20:]] == [OTHER_LABELS, NO_LABEL]
    assert sum(entry.count for entry in entries) == len(labels) + 1
    points = np.random.default_rng(0).normal(size=(len(labels) + 1, 2))
    assert opened(tsne_picture(points, [*labels, None])).size == (1352, 910)


@pytest.mark.parametrize("rows", [1, 8])
def test_the_height_of_a_grid_depends_on_its_rows(rows: int) -> None:
    width, height = opened(grid_picture([row(9)] * rows, "₹")).size
    assert width == 2164
    assert 300 < height / rows < 600


def test_a_grid_may_have_rows_with_few_or_no_neighbours() -> None:
    assert opened(grid_picture([row(0), row(3)])).size < (2164, 2000)


def test_a_grid_without_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        grid_picture([])


def test_names_with_dollars_or_foreign_letters_are_drawn_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grid_picture([row(1, "$\\frac{ $5 _^{ \x00 手表 \u202e घड़ी 😀")], "$")
        tsne_picture(np.zeros((2, 2)), ["$x_$ 手表", "$"])


def test_pictures_can_be_drawn_in_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        pictures = set(pool.map(lambda _: grid_picture([row(2)]), range(6)))
    assert len(pictures) == 1


def test_prices_have_a_currency_and_decimals_only_where_needed() -> None:
    assert [money(price, "₹") for price in (1899.0, 1899.5, 0.0, None)] == ["₹1,899", "₹1,899.50", "₹0", "no price"]
