"""What keeps a home small while it is run again and again: tables written anew, their old versions dropped.

Each commit of the store leaves a fragment and a version behind, and a row that is replaced stays in its old fragment.
So tables grow with the number of commits, and so does the time to read a few of their rows. At its end a run writes the
tables anew of which too much is waste (`compact`), and the next one, at its beginning, drops the versions that nobody
reads any more (`let_go`). Both are no change to whoever asks for a table's `version`.

An old version counts as old from the moment that another took its place, not from when it was made: a table that has
not changed for a month may have been opened a second ago. For `upkeep.grace_s` from there on it can be read.

LanceDB does all of it by one call, `optimize`, which drops old versions only where it compacts as well. So they are
dropped where there is nothing to compact, and what a run leaves behind when it writes a table anew is there until the
next run: only so much is written anew in one run that the store stays within twice its data, the worst table at least.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from recsys.core.configuration import Upkeep
from recsys.storage.store import Store

FRAGMENT_ROWS = 1 << 20
"""Of a fragment that LanceDB calls full: it is not merged with others any more."""

DEAD_SHARE = 0.1
"""From which on LanceDB writes a fragment anew when asked to."""

WRITING_S = 3_600.0
"""That writing a table anew takes at most: LanceDB looks at the clock again when that is done, and only then drops."""

MOST = 2.0
"""Times its data that the store may take, if writing anew one table alone does not take more."""


@dataclass(frozen=True)
class TableFiles:
    """What the files of a table hold.

    Attributes:
        table: its name.
        bytes: of the data in the newest version's fragments, dead rows included.
        rows: in these fragments.
        dead: of them, replaced or removed since.
        fragments: one a commit, until they are merged.
        made: when each version was made, seconds since the epoch, the oldest first.
    """

    table: str
    bytes: int
    rows: int
    dead: int
    fragments: int
    made: tuple[float, ...]

    @property
    def dead_share(self) -> float:
        """Of the rows."""
        return self.dead / max(1, self.rows)

    @property
    def live_bytes(self) -> int:
        """About what the rows would take that are in the table."""
        return round(self.bytes * (1 - self.dead_share))

    @property
    def surplus(self) -> int:
        """Fragments more than the table would have, written at once."""
        return self.fragments - -(-self.rows // FRAGMENT_ROWS)

    @property
    def compact(self) -> bool:
        """Whether LanceDB would find nothing to merge and nothing to write anew."""
        return self.surplus <= 0 and self.dead_share < DEAD_SHARE

    def is_worth(self, settings: Upkeep) -> bool:
        """Return whether the table is to be written anew."""
        return self.dead_share > settings.dead_share or self.surplus >= settings.fragments

    def keep(self, settings: Upkeep, now: float) -> float:
        """Return of what age versions stay, in seconds, where another version takes the newest one's place now.

        That is all but those in whose place another was `grace_s` ago.
        """
        at = max((made for made in self.made if made <= now - settings.grace_s), default=self.made[0])
        return now - at + WRITING_S

    def has_old(self, settings: Upkeep, now: float) -> bool:
        """Return whether there are versions that nobody reads any more: the newest is older than the grace."""
        return len(self.made) > 1 and self.made[-1] < now - settings.grace_s


def files_of(store: Store, table: str) -> TableFiles:
    """Return what the files of a table hold."""
    versions = sorted(store.table(table).list_versions(), key=lambda each: each["version"])
    told = {name: int(value) for name, value in versions[-1]["metadata"].items()}
    return TableFiles(
        table=table,
        bytes=told["total_files_size"],
        rows=told["total_data_file_rows"],
        dead=told["total_deletion_file_rows"],
        fragments=told["total_fragments"],
        # local time, and where a clock is set back the later of two: it is the safe one
        made=tuple(each["timestamp"].replace(fold=1).timestamp() for each in versions),
    )


@dataclass(frozen=True)
class Kept:
    """What upkeep did: tables, the bytes on disk before and after, and what failed, told by table."""

    tables: tuple[str, ...] = ()
    before: int = 0
    after: int = 0
    failed: tuple[str, ...] = ()

    def __str__(self) -> str:
        told = f"{len(self.tables)} tables, {self.before / 1e6:,.1f} MB before and {self.after / 1e6:,.1f} MB after"
        return "; ".join([told, *self.failed])


def let_go(store: Store, settings: Upkeep) -> Kept:
    """Drop old versions that nobody reads any more, of the tables that are compact.

    Whoever calls it holds the home.
    """
    now = time.time()
    old = [each for table in store.tables() if (each := files_of(store, table)).compact and each.has_old(settings, now)]
    return _optimize(store, [(each, settings.grace_s) for each in old])  # all but the newest, whose place none takes


def compact(store: Store, settings: Upkeep) -> Kept:
    """Write anew the tables that are worth it, the most wasteful first, as long as the store stays within `MOST` times
    its data and the disk has room.

    Whoever calls it holds the home.
    """
    tables = [files_of(store, table) for table in store.tables()]
    worth = [each for each in tables if each.is_worth(settings)]
    worth.sort(key=lambda each: each.bytes - each.live_bytes, reverse=True)
    left = MOST * sum(each.live_bytes for each in tables) - sum(each.bytes for each in tables)
    room = shutil.disk_usage(store.home).free / 2
    chosen: list[TableFiles] = []
    for each in worth:
        if each.live_bytes <= room and (each.live_bytes <= left or not chosen):
            chosen.append(each)
            left, room = left - each.live_bytes, room - each.live_bytes
    now = time.time()
    return _optimize(store, [(each, each.keep(settings, now)) for each in chosen])


def _optimize(store: Store, tables: list[tuple[TableFiles, float]]) -> Kept:
    done, failed, before, after = [], [], 0, 0
    for each, keep in tables:
        place = store.home / "store" / f"{each.table}.lance"
        before += (size := size_of(place) or each.bytes)  # in an object store, what is told of it
        try:
            store.optimize(each.table, timedelta(seconds=keep))
            done.append(each.table)
        except (OSError, RuntimeError) as error:  # a full disk, another writer: the table is as it was
            failed.append(f"{each.table} stays as it is ({' '.join(str(error).split())[:200]})")
        after += size_of(place) or files_of(store, each.table).bytes if each.table in done else size
    return Kept(tuple(done), before, after, tuple(failed))


def size_of(place: Path) -> int:
    """Return the bytes of a file, or of all files in a folder and below; 0 where there is none."""
    if place.is_file():
        return place.stat().st_size
    size = 0
    for folder, _, names in os.walk(place):
        for name in names:
            try:
                size += (Path(folder) / name).lstat().st_size
            except FileNotFoundError:  # gone meanwhile
                continue
    return size


PARTS = {
    "pictures": ("store/images.lance", "store/views.lance", "store/scraped.lance"),
    "features and embeddings": ("store/features-*", "store/embeddings-*"),
    "recommendations": ("store/recommendations-*",),
    "other tables": ("store/*",),
    "trained models": ("embedding", "classifier"),
    "MLflow: figures, pictures, models": ("mlflow",),
    "Prefect: kept results": ("prefect/results",),
    "Prefect: what ran": ("prefect/*",),
    "sample shop": ("sample-shop",),
    "report, logs and the rest": ("*",),
}
"""Of a home, each with the patterns of its places; a place belongs to the first part that names it."""


def disk_use(home: Path) -> dict[str, int]:
    """Return the bytes that each part of a home takes on disk, without those that take none."""
    known: set[Path] = set()
    parts = {}
    for part, patterns in PARTS.items():
        places = {place for pattern in patterns for place in home.glob(pattern)} - known
        known |= places | {above for place in places for above in place.parents if above != home}
        parts[part] = sum(size_of(place) for place in places)
    return {part: size for part, size in parts.items() if size}
