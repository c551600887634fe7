"""The shop that this room's tests keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recsys.models.labels.small_shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop whose catalogue is empty."""
    return Shop(tmp_path)
