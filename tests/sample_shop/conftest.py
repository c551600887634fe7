"""One small shop for all tests of this room, drawn once."""

from __future__ import annotations

from pathlib import Path

import pytest

from sample_shop import SampleShop, draw_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SampleShop:
    """A shop of 140 products: about 200 images, so every kind of fault is there."""
    folder: Path = tmp_path_factory.mktemp("sample-shop")
    return draw_shop(folder, products=140, seed=7, processes=1)
