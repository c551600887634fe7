"""Read a Parquet file batch by batch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.core.errors import CatalogueError
from recsys.ingest.catalogue.formats.table import Layout, RawTable, Row

BATCH = 1024
"""Rows decoded at once."""
MAX_CELL = 16 << 20
"""Maximum length of a text, bytes."""
MAX_GROUPS = 100_000
"""Maximum number of groups of rows, of which each has usually some 100,000."""
DEPTH = 3
"""Number of levels of inner records that are read."""


class ParquetTable(RawTable):
    """Parquet file; the columns of inner records are named `outer.inner`."""

    def __init__(self, path: Path, name: str, layout: Layout) -> None:
        super().__init__()
        self._path, self._name, self._max_bytes = path, name, layout.max_bytes
        self.unit, self.format = "row", "Parquet"
        try:
            schema = pq.read_schema(path)
            self.names = _flattened(pa.Table.from_batches([], schema)).column_names
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(error) from error

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        number = 0
        for batch in self._batches(columns):
            try:
                cells = [batch.column(column).to_pylist() for column in columns]
            except ValueError as error:  # a text that is not UTF-8, a date out of range
                raise self._damaged(error) from error
            for row in zip(*cells, strict=True):
                number += 1
                yield Row(number, [_cell(cell) for cell in row])

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the columns in parts of which each fits into memory."""
        unpacked = 0  # bytes
        try:
            texts = self._text_columns(columns)
            with pq.ParquetFile(self._path, read_dictionary=texts, page_checksum_verification=True) as file:
                if _stated_size(file.metadata) > self._max_bytes:
                    raise self._too_large()
                for batch in file.iter_batches(BATCH, columns=list(columns)):
                    table = _flattened(pa.Table.from_batches([batch])).select(list(columns))
                    unpacked += table.nbytes + sum(map(self._expanded_size, table.columns))
                    if unpacked > self._max_bytes:
                        raise self._too_large()
                    yield table
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise self._damaged(error) from error

    def _text_columns(self, columns: Sequence[str]) -> list[str]:
        """Return the paths of texts; they are read as dictionaries, so that a repeated text is in memory once."""
        schema = pq.ParquetFile(self._path).schema
        leaves = [schema.column(index) for index in range(len(schema.names))]
        texts = [leaf.path for leaf in leaves if leaf.logical_type.type == "STRING"]
        return [path for path in texts if any(f"{path}.".startswith(f"{column}.") for column in columns)]

    def _expanded_size(self, column: pa.ChunkedArray) -> int:
        """Return the length of all texts of a dictionary column, bytes; 0 for any other column.

        Raises:
            CatalogueError: one of them is too long.
        """
        size = 0
        for chunk in column.chunks:
            while pa.types.is_list(chunk.type) or pa.types.is_large_list(chunk.type):
                chunk = chunk.flatten()
            if not pa.types.is_dictionary(chunk.type):
                return 0
            lengths = pc.binary_length(chunk.dictionary)
            longest = pc.max(lengths).as_py() or 0
            if longest > MAX_CELL:
                raise CatalogueError(
                    f"catalogue {self._name} has a text of more than {MAX_CELL >> 20} MB; remove it, or its column"
                )
            size += pc.sum(lengths.take(chunk.indices)).as_py() or 0
        return size

    def _too_large(self) -> CatalogueError:
        return CatalogueError(
            f"catalogue {self._name} is larger than catalogue.max_bytes ({self._max_bytes} bytes); raise it or split"
        )

    def _damaged(self, error: Exception) -> CatalogueError:
        reason = " ".join(str(error).split())[:200]
        return CatalogueError(f"catalogue {self._name} is a damaged Parquet file ({reason}); export it again")


def _flattened(table: pa.Table) -> pa.Table:
    """Return a table with the columns of inner records as `outer.inner`."""
    for _ in range(DEPTH):
        if not any(pa.types.is_struct(field.type) for field in table.schema):
            break
        table = table.flatten()
    return table


def _stated_size(metadata: pq.FileMetaData) -> int:
    """Return the unpacked size according to the file; repeated texts count once.

    The metadata of single columns are not used: pyarrow 25 ends the process if they are damaged.
    """
    if metadata.num_row_groups > MAX_GROUPS:
        raise ValueError(f"more than {MAX_GROUPS:,} groups of rows")
    return sum(max(0, metadata.row_group(group).total_byte_size) for group in range(metadata.num_row_groups))


def _cell(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
