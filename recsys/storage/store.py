"""The store: one LanceDB table per stage, appended to or merged into.

A stage reads from the store what is missing, splits it into shards, and each shard commits its rows in one `write`. A
commit is atomic: a process killed at any moment leaves the store as it was after the last commit.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import lancedb
import pyarrow as pa
from lancedb.index import BTree

from recsys.storage import format_1
from recsys.storage.home import FORMAT, creating, home_error, open_home, set_format
from recsys.storage.lease import LEASE_S, lease
from recsys.storage.object_store import tables_of
from recsys.storage.schemas import SCHEMAS, key_of, schema_of

INDEX_INTERVAL = 32
"""Commits between two updates of a key index. Newer rows are searched without it: 15 ms for 512 products at 150
commits, where a table without an index takes 200 ms."""

MAX_TABLES = 10_000
"""Number of table names that a listing returns."""


class Store:
    """The tables of one home. Cheap to open; safe to use from several threads.

    Attributes:
        home: the home folder.
        read_only: whether opening it may create or write anything.
        id: identity of the store, the same on all machines that share it.
        format: version of the home's format; the current one unless an older home is opened `read_only`.

    Raises:
        HomeError: the home was made by a newer version, or (unless `read_only`) cannot be written to.
    """

    def __init__(self, home: Path | str, *, read_only: bool = False) -> None:
        self.home = Path(home)
        self.read_only = read_only
        self._tables = tables_of(self.home)
        identity = open_home(self.home, read_only=read_only)
        self.id, self.format = str(identity["id"]), int(identity["format"])
        self._db = lancedb.connect(self._tables)
        if self.format < FORMAT and not read_only:
            with self._creating_tables():
                if not self.exists("records"):
                    self._db.create_table("records", format_1.records(self.home))
            set_format(self.home, identity)
            self.format = FORMAT

    @property
    def is_shared(self) -> bool:
        """Whether other machines use it too."""
        return "://" in self._tables

    def exists(self, table: str) -> bool:
        """Return whether the table has been created."""
        if self.is_shared:
            return table in self.tables()
        # A process that was killed, or found the disk full, can leave the folder of a table without a first version.
        return any((self.home / "store" / f"{table}.lance" / "_versions").glob("[0-9]*.manifest"))

    def tables(self) -> list[str]:
        """Return the sorted names of all tables."""
        names = sorted(self._db.table_names(limit=MAX_TABLES))
        return names if self.is_shared else [name for name in names if self.exists(name)]

    def write(self, table: str, rows: pa.Table, *, replace: str | None = None, new: bool = False) -> None:
        """Merge rows by the table's key in one commit.

        Args:
            table: its name; it is created with the schema of `rows` if it does not exist.
            rows: all columns of the table, at most one row per key.
            replace: a filter; existing rows that match it and with other keys are deleted in the same commit.
            new: the caller knows that none of the keys exists: the rows are appended without a lookup.

        Raises:
            HomeError: the disk is full or read-only; nothing of `rows` was committed.
        """
        try:
            opened = self._open_or_create(table, rows.schema)
            if new:
                opened.add(rows)
                return
            merge = opened.merge_insert(list(key_of(table)))
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            if replace is not None:
                merge = merge.when_not_matched_by_source_delete(replace)
            merge.execute(rows)
        except (OSError, RuntimeError) as error:
            raise home_error(self.home, error) from error

    def index(self, table: str) -> None:
        """Update the table's key index every `INDEX_INTERVAL` commits; without it a lookup reads each commit.

        At most one thread may call it at a time.

        Raises:
            HomeError: the disk is full or read-only; the table is as it was.
        """
        try:
            if self.version(table) % INDEX_INTERVAL == 0:
                self._db.open_table(table).create_index(key_of(table)[0], config=BTree())
        except (OSError, RuntimeError) as error:
            raise home_error(self.home, error) from error

    def _open_or_create(self, table: str, schema: pa.Schema) -> lancedb.table.Table:
        """Open a table; first create it, or columns that a newer version of this program added, if they are missing.

        One process at a time, because a second one would empty the table.
        """
        if self.exists(table) and not _missing_columns(opened := self._db.open_table(table), schema.names):
            return opened
        with self._creating_tables():
            if not self.exists(table):
                self._db.create_table(table, schema=SCHEMAS.get(table.split("-", 1)[0], schema))
            opened = self._db.open_table(table)
            if missing := _missing_columns(opened, schema.names):
                opened.add_columns([schema.field(name) for name in missing])
        return self._db.open_table(table)

    @contextlib.contextmanager
    def _creating_tables(self) -> Iterator[None]:
        """Keep out all other threads, processes and machines that create tables."""
        with creating, (self.home / "making").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with lease(self.home, time.monotonic() + 2 * LEASE_S, "making"):
                yield

    def read(self, table: str, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """Return rows as an Arrow table; an empty one, with the right columns, if the table does not exist.

        Args:
            table: its name.
            columns: those to read (default: all); images and vectors are large, so name what you need. A column that is
                newer than the table is null.
            where: an SQL filter, built with `literal` or `among`.
        """
        if not self.exists(table):
            empty = schema_of(table).empty_table()
            return empty.select(list(columns)) if columns else empty
        opened = self._db.open_table(table)
        query = opened.search()
        missing = _missing_columns(opened, columns or ())
        if columns is not None:
            query = query.select([name for name in columns if name not in missing])
        if where is not None:
            query = query.where(where)
        rows = query.to_arrow()
        for name in missing:
            field = schema_of(table).field(name)
            rows = rows.append_column(field, pa.nulls(len(rows), field.type))
        return rows.select(list(columns)) if columns is not None and missing else rows

    def table(self, name: str) -> lancedb.table.Table:
        """Open an existing table as a LanceDB table, for vector search (see `ranking.ann_index`)."""
        return self._db.open_table(name)

    def version(self, table: str) -> int:
        """Return the number of commits to the table, without those of compaction; 0 if the table does not exist."""
        revision = self.revision(table)
        compacted = self._compacted(table)
        return revision - compacted.commits if compacted.revision <= revision else revision

    def revision(self, table: str) -> int:
        """Return the number of all commits to the table; 0 if the table does not exist."""
        return int(self._db.open_table(table).version) if self.exists(table) else 0

    def optimize(self, table: str, keep: timedelta) -> None:
        """Compact a table, update its indices, and drop its versions that are older than `keep`.

        Neither the table's rows nor its `version` change. If the process is killed in between, the table counts as
        changed, and what depends on it is computed again.
        """
        before = self._compacted(table)
        opened = self._db.open_table(table)
        revision = int(opened.version)
        for index in opened.list_indices():  # LanceDB merges no fragment that an index covers with one that it does not
            if index.columns == [key_of(table)[0]] and index.num_unindexed_rows:
                opened.create_index(key_of(table)[0], config=BTree())
        opened.optimize(cleanup_older_than=keep)
        after = self.revision(table)
        if after != revision:
            file = self._compaction_file(table)
            file.parent.mkdir(exist_ok=True)
            scratch = file.with_suffix(".part")
            scratch.write_text(json.dumps({"revision": after, "commits": before.commits + after - revision}))
            scratch.replace(file)

    def drop(self, table: str) -> None:
        """Delete a table."""
        if self.exists(table):
            self._db.drop_table(table)
        self._compaction_file(table).unlink(missing_ok=True)

    def count(self, table: str, where: str | None = None) -> int:
        """Return the number of rows that match."""
        return int(self._db.open_table(table).count_rows(where)) if self.exists(table) else 0

    def _compaction_file(self, table: str) -> Path:
        return self.home / "upkeep" / f"{table}.json"

    def _compacted(self, table: str) -> _Compacted:
        try:
            return _Compacted(**json.loads(self._compaction_file(table).read_text()))
        except (OSError, ValueError, TypeError):  # without the file the table only counts as changed
            return _Compacted()


@dataclass(frozen=True)
class _Compacted:
    """Number of a table's commits, up to a revision, that compaction made."""

    revision: int = 0
    commits: int = 0


def _missing_columns(table: lancedb.table.Table, columns: Sequence[str]) -> list[str]:
    """Return the columns that the table lacks, because an older version of this program wrote it."""
    existing = table.schema.names
    return [name for name in columns if name not in existing]


def literal(value: str) -> str:
    """Return a string as an SQL literal; product ids come from the catalogue and may contain any character."""
    return "'" + value.replace("'", "''") + "'"


def among(column: str, values: Iterable[str]) -> str:
    """Return the SQL filter `column IN (values)`; `false` for no values."""
    listed = ",".join(literal(value) for value in values)
    return f"{column} IN ({listed})" if listed else "false"
