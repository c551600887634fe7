"""Keep tables small and fast over many runs: compact them, and drop their old versions.

Each commit adds a fragment and a version to a table, and a replaced row stays in its old fragment. So a table grows
with the number of commits, and so does the time to read a few of its rows. At its end a run compacts the tables with
too much waste (`compact`); at its beginning it drops versions that have no reader any more (`drop_old_versions`).
Neither changes the `version` of a table.

A version is old from the moment that the next one replaced it, whenever it was made: a table without changes for a
month may have been opened a second ago. It stays readable for `upkeep.grace_s` after it was replaced.

LanceDB's `optimize` does both, and drops versions only of the table that it compacts. So versions are dropped from
tables that need no compaction, and the files that a run replaces stay until the next run. A run therefore compacts
only so much that the store stays within twice its data, but at least the table with the most waste.
"""

import shutil
import time
from dataclasses import dataclass
from datetime import timedelta

from recsys.core.configuration import Upkeep
from recsys.storage.disk_use import size_of
from recsys.storage.store import Store

FRAGMENT_ROWS = 1 << 20
"""Rows of a full fragment, which LanceDB does not merge with others."""

DEAD_SHARE = 0.1
"""Share of dead rows from which `optimize` rewrites a fragment."""

MAX_REWRITE_S = 3_600.0
"""Longest time to rewrite a table, seconds. LanceDB reads the clock when that is done, and then drops old versions."""

MAX_GROWTH = 2.0
"""Largest size of the store as a multiple of its data, unless compacting one table alone exceeds it."""


@dataclass(frozen=True)
class TableFiles:
    """Size and state of a table's files.

    Attributes:
        table: name of the table.
        bytes: bytes of the newest version's fragments, dead rows included.
        rows: rows in these fragments.
        dead: those of them that were replaced or deleted.
        fragments: number of fragments: one per commit, until they are merged.
        made: creation times of the versions, seconds since the epoch, the oldest first.
    """

    table: str
    bytes: int
    rows: int
    dead: int
    fragments: int
    made: tuple[float, ...]

    @property
    def dead_share(self) -> float:
        """Share of dead rows."""
        return self.dead / max(1, self.rows)

    @property
    def live_bytes(self) -> int:
        """Estimated bytes of the rows that are alive."""
        return round(self.bytes * (1 - self.dead_share))

    @property
    def surplus(self) -> int:
        """Number of fragments beyond those that a single write would make."""
        return self.fragments - -(-self.rows // FRAGMENT_ROWS)

    @property
    def compact(self) -> bool:
        """Whether `optimize` would neither merge nor rewrite anything."""
        return self.surplus <= 0 and self.dead_share < DEAD_SHARE

    def needs_compaction(self, settings: Upkeep) -> bool:
        """Return whether the table has more waste than the settings allow."""
        return self.dead_share > settings.dead_share or self.surplus >= settings.fragments

    def retention(self, settings: Upkeep, now: float) -> float:
        """Return the age, in seconds, up to which versions stay if the newest one is replaced now.

        All versions stay but those that were replaced at least `grace_s` ago.
        """
        oldest = max((made for made in self.made if made <= now - settings.grace_s), default=self.made[0])
        return now - oldest + MAX_REWRITE_S

    def has_old_versions(self, settings: Upkeep, now: float) -> bool:
        """Return whether all versions but the newest were replaced longer than the grace period ago."""
        return len(self.made) > 1 and self.made[-1] < now - settings.grace_s


def files_of(store: Store, table: str) -> TableFiles:
    """Return size and state of a table's files."""
    versions = sorted(store.table(table).list_versions(), key=lambda version: version["version"])
    metadata = {name: int(value) for name, value in versions[-1]["metadata"].items()}
    return TableFiles(
        table=table,
        bytes=metadata["total_files_size"],
        rows=metadata["total_data_file_rows"],
        dead=metadata["total_deletion_file_rows"],
        fragments=metadata["total_fragments"],
        # naive local time; when a clock is set back, the later of the two meanings is the safe one
        made=tuple(version["timestamp"].replace(fold=1).timestamp() for version in versions),
    )


@dataclass(frozen=True)
class CompactionResult:
    """Optimised tables, the bytes on disk before and after, and a sentence for each table that failed."""

    tables: tuple[str, ...] = ()
    before: int = 0
    after: int = 0
    failed: tuple[str, ...] = ()

    def __str__(self) -> str:
        message = f"{len(self.tables)} tables, {self.before / 1e6:,.1f} MB before and {self.after / 1e6:,.1f} MB after"
        return "; ".join([message, *self.failed])


def drop_old_versions(store: Store, settings: Upkeep) -> CompactionResult:
    """Drop the old versions of all tables that need no compaction. The caller must hold the home's lock."""
    now = time.time()
    tables = [files_of(store, table) for table in store.tables()]
    old = [each for each in tables if each.compact and each.has_old_versions(settings, now)]
    return _optimize(store, [(each, settings.grace_s) for each in old])


def compact(store: Store, settings: Upkeep) -> CompactionResult:
    """Compact the tables that need it, as long as the store stays within `MAX_GROWTH` and the disk has room.

    The tables with the most waste come first. The caller must hold the home's lock.
    """
    tables = [files_of(store, table) for table in store.tables()]
    wasteful = [each for each in tables if each.needs_compaction(settings)]
    wasteful.sort(key=lambda each: each.bytes - each.live_bytes, reverse=True)
    budget = MAX_GROWTH * sum(each.live_bytes for each in tables) - sum(each.bytes for each in tables)
    room = shutil.disk_usage(store.home).free / 2
    chosen: list[TableFiles] = []
    for each in wasteful:
        if each.live_bytes <= room and (each.live_bytes <= budget or not chosen):
            chosen.append(each)
            budget, room = budget - each.live_bytes, room - each.live_bytes
    now = time.time()
    return _optimize(store, [(each, each.retention(settings, now)) for each in chosen])


def _optimize(store: Store, tables: list[tuple[TableFiles, float]]) -> CompactionResult:
    done, failed, before, after = [], [], 0, 0
    for each, keep_s in tables:
        folder = store.home / "store" / f"{each.table}.lance"
        before += (size := size_of(folder) or each.bytes)  # `bytes` where the table is in an object store
        try:
            store.optimize(each.table, timedelta(seconds=keep_s))
            done.append(each.table)
        except (OSError, RuntimeError) as error:  # a full disk, another writer: the table is unchanged
            failed.append(f"{each.table} is not compacted ({' '.join(str(error).split())[:200]})")
        after += size_of(folder) or files_of(store, each.table).bytes if each.table in done else size
    return CompactionResult(tuple(done), before, after, tuple(failed))
