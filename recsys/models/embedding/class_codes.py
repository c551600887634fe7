"""Number the classes that a recipe compares: at each level of the category path, by label, and by product.

Imports no store, so that a training on arrays needs no database package.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.models.embedding.recipe import Recipe


def class_codes(examples: pd.DataFrame, recipe: Recipe) -> NDArray[np.int64]:
    """Return the class code of each picture at each level of a recipe, coarse to fine: (n, L), -1 for no class.

    There is one column for each of the recipe's `weights`: the category path cut at each level, or the label; then the
    product, if it has several pictures. Equal names below different parents are different classes.
    """
    if recipe.classes == "label":
        levels = [_factorize(examples["label"].astype(object).where(examples["label"].notna(), None).tolist())]
    else:
        paths = [tuple(path) if isinstance(path, Sequence) else () for path in examples["category_path"].tolist()]
        depths = range(1, len(recipe.level_weights) + 1)
        levels = [_factorize([path[:depth] if len(path) >= depth else None for path in paths]) for depth in depths]
    if recipe.product_weight:
        products = examples["product_id"].astype(object).where(examples["product_id"].notna(), None)
        has_several = products.groupby(products).transform("size").fillna(0) > 1
        levels.append(_factorize(products.where(has_several, None).tolist()))
    return np.stack(levels, axis=1)


def _factorize(values: Sequence[object]) -> NDArray[np.int64]:
    """Return (n,) codes of values, -1 for None."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return pd.factorize(column)[0].astype(np.int64)
