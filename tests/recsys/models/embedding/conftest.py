"""A small shop of features: three tops, six middles, twelve leaves, each around a point of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

N, SIZE = 240, 48


@pytest.fixture(scope="session")
def features() -> np.ndarray:
    """Unit vectors (240, 48) float32."""
    chance = np.random.default_rng(0)
    top, middle, leaf = np.arange(N) % 3, np.arange(N) % 6, np.arange(N) % 12
    points = 2 * chance.normal(size=(3, SIZE))[top] + 1.5 * chance.normal(size=(6, SIZE))[middle]
    points += chance.normal(size=(12, SIZE))[leaf] + 4.5 * chance.normal(size=(N, SIZE))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def examples() -> pd.DataFrame:
    """As of `training_set`; every fifth is held out, and some have a path of one level."""
    rows = np.arange(N)
    paths = [[f"top {n % 3}", f"middle {n % 6}", f"leaf {n % 12}"][: 1 if n % 20 == 7 else 3] for n in rows]
    return pd.DataFrame(
        {
            "product_id": [f"p{n}" for n in rows],
            "view": 0,
            "image_digest": [f"{n:032x}" for n in rows],
            "category_path": paths,
            "label": [path[0] for path in paths],
            "group": rows,
            "held_out": rows % 5 == 4,
        }
    )
