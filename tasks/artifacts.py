"""Artifacts of a flow run in the Prefect UI."""

from typing import Any, cast

import pandas as pd
from prefect.artifacts import create_table_artifact


def save_table(key: str, frame: pd.DataFrame, description: str) -> None:
    """Save a frame as a table artifact; missing values become empty cells."""
    rows = records(frame.astype(object).where(frame.notna(), None))
    create_table_artifact(key=key, table=rows, description=description)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame."""
    return cast("list[dict[str, Any]]", frame.to_dict("records"))
