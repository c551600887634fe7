"""Convert Arrow tables to frames."""

import pandas as pd
import pyarrow as pa


def frame_of(table: pa.Table) -> pd.DataFrame:
    """Convert an Arrow table to a frame whose list columns hold Python lists, not arrays."""
    lists = [field.name for field in table.schema if pa.types.is_list(field.type)]
    frame = table.drop_columns(lists).to_pandas()
    for name in lists:
        frame[name] = pd.Series(table[name].to_pylist(), dtype="object", index=frame.index)
    return frame[table.schema.names]
