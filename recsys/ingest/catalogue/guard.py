"""Stop a catalogue that would change too much of a home: a broken export must not remove or mix up its products."""

from dataclasses import dataclass

from recsys.core.errors import CatalogueChangeError
from recsys.ingest.catalogue.products import ACTIVE
from recsys.ingest.catalogue.reading import Reading
from recsys.storage.store import Store


@dataclass(frozen=True)
class PlannedChange:
    """What a catalogue would change in a home.

    Attributes:
        listed: number of products that the home lists.
        new, removed, renamed: numbers of products.
        repeated: number of rows that repeat an id, whose products would be merged into one.
        rows: number of rows of the catalogue.
    """

    listed: int
    new: int
    removed: int
    renamed: int
    repeated: int
    rows: int

    def excess(self, allowed: float) -> list[str]:
        """Return a phrase for each kind of change whose share is larger than allowed."""
        phrases = []
        for count, total, verb in (
            (self.removed, self.listed, "remove {} of {} products"),
            (self.renamed, self.listed, "rename {} of {} products"),
            (self.repeated, self.rows, "merge {} of {} rows into others with the same id"),
        ):
            if total and count / total > allowed:
                phrases.append(f"{verb.format(f'{count:,}', f'{total:,}')} ({count / total:.0%})")
        return phrases


def planned_change(store: Store, reading: Reading) -> PlannedChange:
    """Return what a reading would change in a home."""
    stored = store.read("products", ["product_id", "name"], ACTIVE).to_pandas().set_index("product_id")["name"]
    names = reading.table.select(["product_id", "name"]).to_pandas().set_index("product_id")["name"]
    kept = stored.index.intersection(names.index)
    before, after = stored[kept], names[kept]
    renamed = int((before.notna() & after.notna() & (before != after)).sum())
    return PlannedChange(
        listed=len(stored),
        new=len(names) - len(kept),
        removed=len(stored) - len(kept),
        renamed=renamed,
        repeated=reading.duplicates,
        rows=reading.rows,
    )


def require_plausible(store: Store, reading: Reading, name: str, allowed: float) -> None:
    """Check that a catalogue changes no more than an allowed share of a home.

    Raises:
        CatalogueChangeError: it changes more; nothing was written.
    """
    if phrases := planned_change(store, reading).excess(allowed):
        raise CatalogueChangeError(
            f"catalogue {name} would {' and '.join(phrases)}; catalogue.change_share allows {allowed:.0%}. Nothing was "
            "written: check the export ('recsys catalogue check'), or run again with --accept if this is right"
        )
