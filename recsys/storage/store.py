"""The store: what is known about each product, one LanceDB table a stage, appended or merged only.

    products                    product id          the catalogue row, normalised
    images                      product id          the ledger of fetching, and the squared image
    views                       product id + url    further photos of a product, where they are fetched
    labels                      product id          label and where it came from
    predictions                 product id          what the classifier says of it, given its picture and its row
    reviews                     product id          what a person says of it
    features-<version>          image digest        what the backbone gives, and a colour histogram
    embeddings-<version>        image digest        what a trained embedding makes of it
    recommendations-<version>   product id + rank   neighbour, its scores, the total
    catalogues                  catalogue digest    each catalogue that was read: source, counts, when
    scraped                     image digest        pictures of a marketplace, which are never products
    searches                    label + keyword     how each search for them ended

Each model version has tables of its own, so that embeddings of two models can never meet in one search, and what a
model recommended is there still when it serves again.

The one rule of the workflow stands on it: a stage asks what is missing, splits that into `Shard`s, and each shard
commits its rows in one `write`. A commit is atomic: a process killed at any moment leaves the store as it was after
the last commit.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from recsys.core.errors import HomeError
from recsys.core.memory import economise
from recsys.storage import shared
from recsys.storage.lean_lancedb import BTree, lancedb

economise()  # before the store's threads are there

COMMITS_OF_INDEX = 32
"""After which a table is indexed anew, in a tenth of a second for 75,000 rows; until then the last are searched. At 150
commits 512 products are found in 15 ms, without an index in 200."""

FORMAT = 1
"""Of the home folder; raised when an older program could no longer read it."""

BEFORE_A_SHOP = {"recsys.toml", "lock", "home.part", "lost+found"}
"""What may lie in a folder that becomes a home."""

TIME = pa.timestamp("us", tz="UTC")

JPEG = pa.field(
    "jpeg",
    pa.large_binary(),
    # as it is: Lance would try to compress it, which takes six times as long for 2 % less
    metadata={"lance-encoding:structural-encoding": "fullzip", "lance-encoding:compression": "none"},
)

SCHEMAS: dict[str, pa.Schema] = {
    "products": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("position", pa.int64()),  # row of the catalogue, from 0: its order
            ("name", pa.string()),
            ("brand", pa.string()),
            ("category_path", pa.list_(pa.string())),
            ("price", pa.float64()),
            ("retail_price", pa.float64()),
            ("image_urls", pa.list_(pa.string())),
            ("row_digest", pa.string()),
            ("in_stock", pa.bool_()),  # null where the catalogue does not say
            ("first_seen", TIME),
            ("changed", TIME),
            ("removed", TIME),  # null while the catalogue lists it
        ]
    ),
    "images": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("urls_digest", pa.string()),  # of the URLs that this row speaks of
            ("status", pa.string()),  # ok, broken, pending
            ("cause", pa.string()),  # null when ok
            ("http_code", pa.int32()),
            ("attempts", pa.int32()),  # that failed for a passing cause, over all runs
            ("first_checked", TIME),  # since these URLs are in the catalogue
            ("checked_at", TIME),
            ("url", pa.string()),  # the one that won, else the last that failed
            ("etag", pa.string()),  # what the host calls this version of the image, for a conditional request
            ("last_modified", pa.string()),
            ("image_digest", pa.string()),  # of the bytes that the host sent
            ("bytes", pa.int64()),
            ("width", pa.int32()),  # pixels of the original
            ("height", pa.int32()),
            ("format", pa.string()),
            JPEG,  # the squared image
        ]
    ),
    "views": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            pa.field("url", pa.string(), nullable=False),  # behind the picture's in the product's row
            ("status", pa.string()),  # ok; same: another photo of the product again; broken, pending
            ("cause", pa.string()),  # null when ok or same
            ("attempts", pa.int32()),  # that failed for a passing cause, over all runs
            ("checked_at", TIME),
            ("image_digest", pa.string()),  # of the bytes that the host sent
            JPEG,  # the squared photo; null unless ok
        ]
    ),
    "labels": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("label", pa.string()),  # null where there is none
            ("source", pa.string()),  # catalogue, merged, predicted, reviewed; null where there is none
            ("confidence", pa.float32()),
            ("model_version", pa.string()),
            ("basis", pa.string()),  # digest of what the label was derived from
        ]
    ),
    "predictions": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("model_version", pa.string()),  # of the classifier, see `recsys.models.classifier.label_model`
            ("label", pa.string()),  # the most probable
            ("confidence", pa.float32()),  # its calibrated probability
            ("runner_up", pa.string()),  # the second most probable; null where there are no two labels
            ("runner_up_confidence", pa.float32()),
            ("evidence", pa.string()),  # picture, text, both: what there was to judge by
            ("fold", pa.int32()),  # of the training that left it out; null where it was in no training
            ("basis", pa.string()),  # digest of the picture and the row that were judged
        ]
    ),
    "reviews": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("label", pa.string()),  # null: it has none, and is not to be asked for again
            ("reviewed_at", TIME),
        ]
    ),
    "recommendations": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            pa.field("rank", pa.int32(), nullable=False),  # from 1
            ("neighbour_id", pa.string()),
            ("visual", pa.float32()),
            ("colour", pa.float32()),
            ("price", pa.float32()),
            ("total", pa.float32()),
            ("basis", pa.string()),  # digest of all that the ranking was derived from
        ]
    ),
    "catalogues": pa.schema(
        [
            pa.field("catalogue_digest", pa.string(), nullable=False),
            ("source", pa.string()),
            ("rows", pa.int64()),
            ("rejected", pa.int64()),  # set aside, as bad or as duplicates
            ("new", pa.int64()),
            ("changed", pa.int64()),
            ("removed", pa.int64()),
            ("read_at", TIME),  # the last time that it replaced another
        ]
    ),
    "scraped": pa.schema(  # pictures of a marketplace: never products, so never in a test split, and so for ever
        [
            pa.field("image_digest", pa.string(), nullable=False),  # of the bytes that the host sent
            ("label", pa.string()),  # that it was searched for
            ("keyword", pa.string()),
            ("title", pa.string()),  # as the result page gives it
            ("url", pa.string()),
            ("bytes", pa.int64()),
            ("width", pa.int32()),  # pixels of the original
            ("height", pa.int32()),
            ("format", pa.string()),
            JPEG,  # the squared image
            ("scraped_at", TIME),
        ]
    ),
    "searches": pa.schema(
        [
            pa.field("label", pa.string(), nullable=False),
            pa.field("keyword", pa.string(), nullable=False),
            ("basis", pa.string()),  # digest of where and how far was searched
            ("status", pa.string()),  # ok, failed
            ("cause", pa.string()),  # null when ok
            ("http_code", pa.int32()),
            ("message", pa.string()),  # null when ok
            ("found", pa.int64()),  # pictures on the result pages
            ("kept", pa.int64()),  # of them, in `scraped` under this keyword
            ("duplicates", pa.int64()),  # of them, there already as another's or the catalogue's
            ("broken", pa.int64()),  # of them, not to be fetched
            ("checked_at", TIME),
        ]
    ),
}

MOST_TABLES = 10_000
"""That a store is asked for by name."""

_making = threading.Lock()

LOOK_S = 0.1
"""Between two looks whether a home is free; there are two at least, since `is_held` holds one for a moment."""

KEYS: dict[str, tuple[str, ...]] = {
    "views": ("product_id", "url"),
    "recommendations": ("product_id", "rank"),
    "searches": ("label", "keyword"),
}


def features_schema(embedding_size: int, histogram_size: int) -> pa.Schema:
    """Return the schema of a table of features: what pictures are compared by, computed once."""
    return pa.schema(
        [
            pa.field("image_digest", pa.string(), nullable=False),
            ("embedding", pa.list_(pa.float32(), embedding_size)),  # of unit length
            ("histogram", pa.list_(pa.float32(), histogram_size)),  # of colours, summing to 1
            ("fingerprint", pa.uint64()),  # by which one photo is known again
        ]
    )


def embeddings_schema(size: int) -> pa.Schema:
    """Return the schema of a table of embeddings: unit vectors, float32."""
    return pa.schema(
        [pa.field("image_digest", pa.string(), nullable=False), ("embedding", pa.list_(pa.float32(), size))]
    )


def key_of(table: str) -> tuple[str, ...]:
    """Return the columns by which rows of a table are told apart."""
    kind = table.split("-", 1)[0]
    return KEYS.get(kind) or (schema_of(table).names[0],)


def schema_of(table: str) -> pa.Schema:
    """Return the schema of a table; where it depends on a model, that of an empty one."""
    kind = table.split("-", 1)[0]
    if kind in SCHEMAS:
        return SCHEMAS[kind]
    return embeddings_schema(1) if kind == "embeddings" else features_schema(1, 1)


@dataclass(frozen=True)
class Shard:
    """A slice of what a stage has to do: small enough to lose, large enough to be worth a task.

    `digest` covers the keys and the state that made them missing, so that the same work has the same digest and
    work that came up again (a link to be checked once more) has another.
    """

    stage: str
    number: int  # from 1
    of: int
    keys: tuple[str, ...]
    digest: str

    def __str__(self) -> str:
        return f"{self.stage} {self.number}/{self.of}"


def shards(stage: str, keys: Sequence[str], size: int, state: Sequence[str] = ()) -> list[Shard]:
    """Split keys into shards of at most `size`; `state[i]` says why `keys[i]` is missing and enters the digest."""
    of = -(-len(keys) // size)
    return [
        Shard(
            stage=stage,
            number=start // size + 1,
            of=of,
            keys=tuple(keys[start : start + size]),
            digest=digest([stage, *keys[start : start + size], *state[start : start + size]]),
        )
        for start in range(0, len(keys), size)
    ]


def digest(parts: Iterable[Any]) -> str:
    """Return 32 hex digits that stand for the parts in their order (BLAKE2b-128 over their JSON)."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        hasher.update(part.encode() if isinstance(part, str) else json.dumps(part, default=str).encode())
        hasher.update(b"\x1f")
    return hasher.hexdigest()


class Store:
    """The tables of one home. Cheap to open; safe to use from several threads.

    Raises:
        HomeError: the home was made by a newer version, or (unless `read_only`) cannot be written to.
    """

    def __init__(self, home: Path | str, *, read_only: bool = False) -> None:
        self.home = Path(home)
        self.read_only = read_only
        self._tables = shared.tables(self.home)
        self.id = self._open_home()
        self._db = lancedb.connect(self._tables)

    def _open_home(self) -> str:
        """Check the home, make one where there is none, and return the store's identity."""
        mark = self.home / "home.json"
        new = json.dumps({"format": FORMAT, "id": uuid.uuid4().hex})
        try:
            with _making:
                told = shared.identity(self.home, None if self.read_only else new) if self.is_shared else new
                if not mark.is_file():
                    self._make_home(mark, told)
            about = json.loads(mark.read_text())
            if self.is_shared and (told is None or json.loads(told)["id"] != about["id"]):
                raise HomeError(
                    f"home {self.home} is not of the store at {self._tables}; name a new folder, or copy the home's "
                    "store/, embedding/, classifier/, index/ and home.json there (docs/production.md)"
                )
            if about["format"] > FORMAT:
                raise HomeError(
                    f"home {self.home} has format {about['format']}, made by a newer version; "
                    f"this one reads up to {FORMAT}: update the program or use another --home"
                )
            if not self.read_only:
                tempfile.TemporaryFile(dir=self.home).close()  # can it be written to?
            if self.is_shared and self.home.resolve() not in _held:  # who holds it is the only one who writes
                shared.pull(self.home)
            return str(about["id"])
        except (ValueError, KeyError, TypeError) as error:
            raise HomeError(f"{mark} is damaged ({error}); restore it or use another --home") from error
        except OSError as error:
            raise home_error(self.home, error) from error

    @property
    def is_shared(self) -> bool:
        """Whether other machines use it too."""
        return "://" in self._tables

    def _make_home(self, mark: Path, about: str | None) -> None:
        """Make an empty folder, or one that holds only what may lie there before a shop does, into a home."""
        if about is None or (self.read_only and not self.is_shared):
            raise HomeError(f"home {self.home} holds no shop yet; run 'recsys run --catalogue FILE' or 'recsys demo'")
        if self.home.exists() and (not self.home.is_dir() or {p.name for p in self.home.iterdir()} - BEFORE_A_SHOP):
            raise HomeError(f"home {self.home} is not empty and not ours; name an empty or new folder")
        self.home.mkdir(parents=True, exist_ok=True)
        scratch = mark.with_suffix(".part")
        scratch.write_text(about)
        scratch.rename(mark)

    def exists(self, table: str) -> bool:
        """Return whether the table has been made."""
        if not self.is_shared:  # its folder is there before its first version
            return any((self.home / "store" / f"{table}.lance" / "_versions").glob("[0-9]*.manifest"))
        return table in self.tables()

    def tables(self) -> list[str]:
        """Return the names of all tables that were made, by name."""
        return sorted(self._db.table_names(limit=MOST_TABLES))

    def write(self, table: str, rows: pa.Table, *, replace: str | None = None, new: bool = False) -> None:
        """Merge rows by the table's key in one commit.

        Args:
            table: its name; it is made from `rows`' schema where there is none.
            rows: all columns of the table, at most one row a key.
            replace: a filter; existing rows that match it and are not among `rows` are dropped in the same commit.
            new: the caller knows that none of the keys is there: the rows are appended, without looking for them.

        Raises:
            HomeError: the disk is full or read-only; nothing of `rows` was committed.
        """
        try:
            made = self._made(table, rows.schema)
            if new:
                made.add(rows)
                return
            merge = made.merge_insert(list(key_of(table)))
            merge = merge.when_matched_update_all().when_not_matched_insert_all()
            if replace is not None:
                merge = merge.when_not_matched_by_source_delete(replace)
            merge.execute(rows)
        except (OSError, RuntimeError) as error:
            raise home_error(self.home, error) from error

    def index(self, table: str) -> None:
        """Index a table by its key, once in so many commits: reading rows by it would else look into each commit.

        One thread at a time, as the table is written.

        Raises:
            HomeError: the disk is full or read-only; the table is as it was.
        """
        try:
            if self.version(table) % COMMITS_OF_INDEX == 0:
                self._db.open_table(table).create_index(key_of(table)[0], config=BTree())
        except (OSError, RuntimeError) as error:
            raise home_error(self.home, error) from error

    def _made(self, table: str, schema: pa.Schema) -> lancedb.table.Table:
        """Open a table, having made it, or the columns of a later version, where there is none.

        One process at a time, since a second would empty it.
        """
        if self.exists(table) and not _later(made := self._db.open_table(table), schema.names):
            return made
        with _making, (self.home / "making").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with shared.lease(self.home, time.monotonic() + 2 * shared.LEASE_S, "making"):
                if not self.exists(table):
                    self._db.create_table(table, schema=SCHEMAS.get(table.split("-", 1)[0], schema))
                made = self._db.open_table(table)
                if later := _later(made, schema.names):
                    made.add_columns([schema.field(name) for name in later])
        return self._db.open_table(table)

    def read(self, table: str, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """Return rows as an Arrow table; none, with the right columns, where the table was never written.

        Args:
            table: its name.
            columns: those to read (default: all); images and vectors are large, so name what you need. One that came
                with a later version of this program than wrote the table is null.
            where: an SQL filter, built with `literal` or `among`.
        """
        if not self.exists(table):
            empty = schema_of(table).empty_table()
            return empty.select(list(columns)) if columns else empty
        opened = self._db.open_table(table)
        query = opened.search()
        later = _later(opened, columns or ())
        if columns is not None:
            query = query.select([name for name in columns if name not in later])
        if where is not None:
            query = query.where(where)
        rows = query.to_arrow()
        for name in later:
            field = schema_of(table).field(name)
            rows = rows.append_column(field, pa.nulls(len(rows), field.type))
        return rows.select(list(columns)) if columns is not None and later else rows

    def table(self, name: str) -> lancedb.table.Table:
        """Open an existing table as a LanceDB table, for vector search (see `ranking.ann_index`)."""
        return self._db.open_table(name)

    def version(self, table: str) -> int:
        """Return how many commits the table has seen, upkeep's left out: it says nothing else; 0 where it is none."""
        revision = self.revision(table)
        kept_up = _kept_up(self.home, table)
        return revision - kept_up.commits if kept_up.revision <= revision else revision

    def revision(self, table: str) -> int:
        """Return the number of the table's last commit, whatever it was for; 0 where it was never written."""
        return int(self._db.open_table(table).version) if self.exists(table) else 0

    def optimize(self, table: str, keep: timedelta) -> None:
        """Have LanceDB compact a table, bring its indices up to date, and drop its versions that are older than `keep`.

        The table's rows stay as they are, and so does its `version`. A process that is killed in between leaves one
        that counts as changed: what rests on it is found out anew.
        """
        before = _kept_up(self.home, table)
        opened = self._db.open_table(table)
        revision = int(opened.version)
        for index in opened.list_indices():  # LanceDB merges no fragment that an index covers with one that it does not
            if index.columns == [key_of(table)[0]] and index.num_unindexed_rows:
                opened.create_index(key_of(table)[0], config=BTree())
        opened.optimize(cleanup_older_than=keep)
        after = self.revision(table)
        if after != revision:
            note = _note_of_upkeep(self.home, table)
            note.parent.mkdir(exist_ok=True)
            scratch = note.with_suffix(".part")
            scratch.write_text(json.dumps({"revision": after, "commits": before.commits + after - revision}))
            scratch.replace(note)

    def drop(self, table: str) -> None:
        """Remove a table with all that it holds."""
        if self.exists(table):
            self._db.drop_table(table)
        _note_of_upkeep(self.home, table).unlink(missing_ok=True)

    def count(self, table: str, where: str | None = None) -> int:
        """Return how many rows match."""
        return int(self._db.open_table(table).count_rows(where)) if self.exists(table) else 0


def _later(table: lancedb.table.Table, columns: Sequence[str]) -> list[str]:
    """Return those of the columns that came with a later version of this program than wrote the table."""
    there = table.schema.names
    return [name for name in columns if name not in there]


@dataclass(frozen=True)
class _KeptUp:
    """How many of a table's commits up to a revision were upkeep's."""

    revision: int = 0
    commits: int = 0


def _note_of_upkeep(home: Path, table: str) -> Path:
    return home / "upkeep" / f"{table}.json"


def _kept_up(home: Path, table: str) -> _KeptUp:
    try:
        return _KeptUp(**json.loads(_note_of_upkeep(home, table).read_text()))
    except (OSError, ValueError, TypeError):  # without it the table counts as changed, no more
        return _KeptUp()


def literal(value: str) -> str:
    """Return a string as an SQL literal; product ids come from the catalogue and may hold anything."""
    return "'" + value.replace("'", "''") + "'"


def among(column: str, values: Iterable[str]) -> str:
    """Return the filter `column IN (...)`; false for no values."""
    listed = ",".join(literal(value) for value in values)
    return f"{column} IN ({listed})" if listed else "false"


_held: set[Path] = set()
"""Homes that this process holds."""


@contextlib.contextmanager
def lock(home: Path, wait_s: float = 0.0, *, nested: bool = False) -> Iterator[None]:
    """Hold the home for writing; a second run at the same time waits, or is refused.

    Args:
        home: the home folder.
        wait_s: seconds to wait for another that holds it.
        nested: take what this process holds already, as a flow does whose command holds it.

    Raises:
        HomeError: another holds it still, or the home cannot be written to.
    """
    own = home.resolve()
    if nested and own in _held:
        yield
        return
    deadline = time.monotonic() + max(wait_s, LOOK_S)
    with _locked(home, deadline), shared.lease(home, deadline):
        if shared.url_of(home) is not None:
            Store(home)  # takes what other machines have written; while it is held nobody else writes
        _held.add(own)
        try:
            yield
        finally:
            _held.discard(own)


def is_held(home: Path) -> bool:
    """Return whether a process of this machine holds the home for writing."""
    try:
        with (home / "lock").open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def _locked(home: Path, deadline: float) -> Iterator[None]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        handle = (home / "lock").open("a+")
    except OSError as error:
        raise home_error(home, error) from error
    with handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= deadline:
                    handle.seek(0)
                    holder = handle.read() or "?"
                    raise HomeError(f"home {home} is in use by process {holder}; wait for it to end") from error
                time.sleep(LOOK_S)
        with contextlib.suppress(OSError):  # a full disk: the lock holds without its note
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
        yield


def require_space(home: Path, needed: int) -> None:
    """Raise HomeError when the home's disk has fewer than `needed` bytes free."""
    free = shutil.disk_usage(home).free
    if free < needed:
        raise HomeError(
            f"the disk of home {home} has {free >> 20} MB free and this needs about {needed >> 20} MB; "
            "free some space or use another --home"
        )


def home_error(home: Path, error: Exception) -> HomeError:
    """Return the HomeError that says what an operating-system error means for the home."""
    number = getattr(error, "errno", None)
    text = str(error)
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text or "os error 28" in text:
        return HomeError(f"the disk of home {home} is full; free some space and run again: what was committed is kept")
    if number in (errno.EROFS, errno.EACCES, errno.EPERM) or "Read-only" in text or "Permission denied" in text:
        return HomeError(f"home {home} cannot be written to ({text}); make it writable or use another --home")
    return HomeError(f"home {home} cannot be used: {' '.join(text.split())[:300]}")
