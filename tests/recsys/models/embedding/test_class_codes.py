"""The class codes of a recipe: one per level of the category path, or the label, and the product."""

from __future__ import annotations

import pandas as pd

from recsys.models.embedding.class_codes import class_codes
from recsys.models.embedding.recipe import load_recipe


def test_a_path_has_a_code_at_each_of_its_levels_and_none_below() -> None:
    frame = pd.DataFrame(
        {
            "product_id": ["a", "a", "b", "c", None],
            "category_path": [["x", "same"], ["x", "same"], ["y", "same"], ["x"], None],
            "label": ["x", "x", "y", None, "y"],
        }
    )
    default = load_recipe("default").model_copy(update={"level_weights": (1.0, 1.0, 1.0)})
    assert class_codes(frame, default).tolist() == [
        [0, 0, -1, 0],
        [0, 0, -1, 0],
        [1, 1, -1, -1],  # "same" below another top is another
        [0, -1, -1, -1],
        [-1, -1, -1, -1],
    ]
    assert class_codes(frame, load_recipe("original")).tolist() == [[0], [0], [1], [-1], [1]]
