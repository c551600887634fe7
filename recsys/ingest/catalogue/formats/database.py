"""Read the result of an SQL query, in batches, from any database that SQLAlchemy knows. Nothing is written to it."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from recsys.core.errors import CatalogueError
from recsys.core.text import shorten
from recsys.ingest.catalogue.formats.table import Layout, RawTable, Row

BATCH = 2_000
"""Rows fetched at once."""
READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "postgresql": "SET TRANSACTION READ ONLY",
    "cockroachdb": "SET TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
}
"""Statement that forbids writing, by dialect; in other databases a change is rolled back."""

_READS = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:select|with|values|table|from|show|exec|execute|call)\b",
    re.IGNORECASE | re.DOTALL,
)


class DatabaseTable(RawTable):
    """Result of `catalogue.query`; the order of its rows is that of the query."""

    def __init__(self, url: str, name: str, layout: Layout) -> None:
        super().__init__()
        remedy = 'set catalogue.query = "SELECT ..." to the query that lists the products'
        if not layout.query.strip():
            raise CatalogueError(f"catalogue {name} is a database: {remedy}")
        if not _READS.match(layout.query):
            raise CatalogueError(f"catalogue {name} has a query that does not begin with SELECT; {remedy}")
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
            url = sqlalchemy.make_url(self._url)
            if url.drivername == "postgres":  # the older name, in the URLs of hosting services
                url = url.set(drivername="postgresql")
            if url.get_backend_name() == "sqlite":
                self._check_file(url)
            engine = sqlalchemy.create_engine(url, hide_parameters=True)
        except (SQLAlchemyError, ImportError) as error:
            raise self._error(
                f"is no database that can be read here ({self._reason(error)})", "check the URL"
            ) from error
        except ValueError as error:  # its message has parts of the URL, such as a password with a colon
            remedy = "check its port, and write special characters of the password as %40 for @"
            raise self._error("has a URL that is not valid", remedy) from error
        try:
            with engine.connect() as connection:
                if statement := READ_ONLY.get(url.get_backend_name()):
                    connection.exec_driver_sql(statement)
                connection.execution_options(stream_results=True, yield_per=BATCH)  # a server-side cursor
                result = connection.execute(sqlalchemy.text(self._query.replace(":", r"\:")))
                if not result.returns_rows:
                    raise self._error("has a query without a result", "set catalogue.query to a SELECT")
                yield result
        except (SQLAlchemyError, OSError, RuntimeError) as error:
            remedy = "check catalogue.query, and that the user may read these tables"
            raise self._error(f"cannot be read ({self._reason(error)})", remedy) from error
        finally:
            engine.dispose()  # a transaction that is open is rolled back

    def _check_file(self, url: Any) -> None:
        """Raise CatalogueError if there is no such file: SQLite would create it."""
        file = url.database or ""
        if file and not file.startswith((":memory:", "file:")) and not Path(file).is_file():
            what = "is a directory" if Path(file).is_dir() else "does not exist"
            raise self._error(what, "check the path (sqlite:///relative or sqlite:////absolute)")

    def _error(self, fault: str, remedy: str) -> CatalogueError:
        return CatalogueError(f"catalogue {self._name} {fault}; {remedy}")

    def _reason(self, error: Exception) -> str:
        """Return the first line of the driver's message, without the query and what is secret in the URL."""
        message = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        for secret in sorted(_secrets(self._url), key=len, reverse=True):
            message = message.replace(secret, "***")
        return shorten(message, 200)


def _secrets(url: str) -> set[str]:
    """Return the password in a URL, and the values of its query, as they are written and as they are used."""
    from urllib.parse import parse_qsl, unquote

    _, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    credentials, at, _ = rest.rpartition("@")
    secrets = {value for _, value in parse_qsl(query)} | {part.partition("=")[2] for part in query.split("&")}
    if at:
        password = credentials.partition(":")[2]
        secrets |= {password, unquote(password), *password.split("@"), *password.split("/")}
    return {secret for secret in secrets if len(secret) > 2}


def _cell(value: Any) -> Any:
    if isinstance(value, Decimal):
        is_whole = value.is_finite() and value.as_tuple().exponent == 0 and value.adjusted() < 30
        return int(value) if is_whole else float(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
