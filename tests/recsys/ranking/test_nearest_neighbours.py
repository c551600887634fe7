"""The fast selection of the largest columns equals a stable sort."""

import numpy as np
import pytest

from recsys.ranking.nearest_neighbours import nearest_columns


@pytest.mark.parametrize("columns", [1, 50, 700, 5_000])
@pytest.mark.parametrize("values", ["distinct", "few", "mostly excluded"])
def test_the_largest_columns_are_selected_in_order(columns: int, values: str) -> None:
    rng = np.random.default_rng(columns)
    similarity = rng.random((20, columns)).astype(np.float32)
    if values == "few":  # many equal values, which stay in the order of their columns
        similarity = np.round(similarity, 1)
    elif values == "mostly excluded":
        similarity[rng.random(similarity.shape) < 0.99] = -np.inf
    expected = np.argsort(-similarity, axis=1, kind="stable")
    for count in (1, 5, 20, 80, 6_000):
        np.testing.assert_array_equal(nearest_columns(similarity, count), expected[:, :count])


def test_an_empty_matrix_has_no_columns() -> None:
    assert nearest_columns(np.empty((0, 30), np.float32), 5).shape == (0, 5)
    assert nearest_columns(np.empty((3, 0), np.float32), 5).shape == (3, 0)
