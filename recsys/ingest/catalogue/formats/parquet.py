"""Read a Parquet file batch by batch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.core.errors import CatalogueError
from recsys.ingest.catalogue.formats.table import Layout, RawTable, Row

BATCH = 1024
"""Rows decoded at once; bounds the memory that a Parquet bomb can take before the size check stops it."""


class ParquetTable(RawTable):
    """Parquet file."""

    def __init__(self, path: Path, name: str, layout: Layout) -> None:
        super().__init__()
        self._path, self._name, self._max_bytes = path, name, layout.max_bytes
        self.unit, self.format = "row", "Parquet"
        try:
            self.names = list(pq.read_schema(path).names)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        number = unpacked = 0  # bytes; the sizes in the metadata do not include what dictionary encoding expands to
        try:
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(BATCH, columns=list(columns)):
                    unpacked += batch.nbytes
                    if unpacked > self._max_bytes:
                        raise CatalogueError(
                            f"catalogue {self._name} is larger than catalogue.max_bytes ({self._max_bytes} bytes); "
                            "raise it or split"
                        )
                    cells = [[_cell(cell) for cell in batch.column(column).to_pylist()] for column in columns]
                    for row in zip(*cells, strict=True):
                        number += 1
                        yield Row(number, row)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> CatalogueError:
        reason = " ".join(str(error).split())[:200]
        return CatalogueError(f"catalogue {self._name} is a damaged Parquet file ({reason}); export it again")


def _cell(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
