"""Read the result of an SQL query, in batches, from any database that SQLAlchemy knows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from recsys.core.errors import CatalogueError
from recsys.ingest.catalogue.formats.table import Layout, RawTable, Row

BATCH = 2_000
"""Rows fetched at once."""


class DatabaseTable(RawTable):
    """Result of `catalogue.query`; the order of its rows is that of the query."""

    def __init__(self, url: str, name: str, layout: Layout) -> None:
        super().__init__()
        if not layout.query.strip():
            raise CatalogueError(
                f'catalogue {name} is a database: set catalogue.query = "SELECT ..." to a query that lists the products'
            )
        self._url, self._name, self._query = url, name, layout.query
        self.unit = "row"
        with self._result() as result:
            self.format = f"query of {name.partition(':')[0]}"
            self.names = list(result.keys())

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        indexes = [self.names.index(column) for column in columns]
        number = 0
        with self._result() as result:
            for batch in result.partitions(BATCH):
                for record in batch:
                    number += 1
                    yield Row(number, [_cell(record[index]) for index in indexes])

    @contextmanager
    def _result(self) -> Iterator[Any]:
        import sqlalchemy
        from sqlalchemy.exc import SQLAlchemyError

        try:
            engine = sqlalchemy.create_engine(self._url)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise self._error(f"is no database that can be read here ({_reason(error)})", "check the URL") from error
        try:
            with engine.connect().execution_options(stream_results=True, yield_per=BATCH) as connection:
                yield connection.execute(sqlalchemy.text(self._query.replace(":", r"\:")))
        except SQLAlchemyError as error:
            remedy = "check catalogue.query, and that the user may read these tables"
            raise self._error(f"cannot be read ({_reason(error)})", remedy) from error
        finally:
            engine.dispose()

    def _error(self, fault: str, remedy: str) -> CatalogueError:
        return CatalogueError(f"catalogue {self._name} {fault}; {remedy}")


def _reason(error: Exception) -> str:
    """Return the first line of the driver's message, which has neither the query nor the password."""
    message = str(getattr(error, "orig", None) or error)
    return " ".join(message.partition("\n")[0].split())[:200]


def _cell(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
