"""The catalogue stage: read the catalogue, reject bad rows, check the change, merge the products, record it."""

from datetime import datetime

import pyarrow as pa

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.process import return_freed_memory
from recsys.ingest.catalogue.facts import CatalogueFacts, write_facts
from recsys.ingest.catalogue.guard import require_plausible
from recsys.ingest.catalogue.notes import first_products
from recsys.ingest.catalogue.products import CatalogueChange, update_products
from recsys.ingest.catalogue.reading import read_catalogue, write_rejects
from recsys.ingest.catalogue.source import display_name
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store

SHOWN_PRODUCTS = 5
"""Number of products that are shown when a home reads its first catalogue."""
REJECTS = "rejects.csv"
"""File in the home: the rejected rows of the last catalogue, with line, column and reason."""


def take_in(
    store: Store, source: str, configuration: Configuration, now: datetime, *, accept: bool = False
) -> CatalogueChange:
    """Update the products from a catalogue and return what changed.

    Args:
        store: store of the home.
        source: see `source.inputs`.
        configuration: section `catalogue`.
        now: time of the changes, time-zone aware.
        accept: whether the catalogue may change more products than `catalogue.change_share`.

    Raises:
        CatalogueError: the catalogue cannot be read, or has too many bad rows; the store is unchanged.
        CatalogueChangeError: it changes too many products; the store is unchanged.
        HomeError: the store cannot be written to.
    """
    reading = read_catalogue(source, configuration, store.home / "scratch")
    return_freed_memory()
    if not accept:
        require_plausible(store, reading, display_name(source), configuration.catalogue.change_share)
    change = update_products(store, reading, now)
    write_facts(store, CatalogueFacts.of(reading))
    write_rejects(reading, store.home / REJECTS)
    return_freed_memory()
    progress.note(f"catalogue read as {reading.format}: {reading.recognition}")
    for note in reading.notes:
        progress.note(note)
    if not store.count("catalogues"):  # the first catalogue of this home: show how it was understood
        for sentence in first_products(reading.table, SHOWN_PRODUCTS):
            progress.note(sentence)
    if _is_news(store, reading.digest, change):
        record = {
            "catalogue_digest": reading.digest,
            "source": display_name(source),
            "rows": reading.rows,
            "rejected": reading.rejected + reading.duplicates,
            "new": change.new,
            "changed": change.changed,
            "removed": change.removed,
            "read_at": now,
        }
        store.write("catalogues", pa.Table.from_pylist([record], schema=SCHEMAS["catalogues"]))
    return change


def _is_news(store: Store, digest: str, change: CatalogueChange) -> bool:
    """Return whether this catalogue differs from the one that was read last."""
    readings = store.read("catalogues", ["catalogue_digest", "read_at"]).sort_by([("read_at", "descending")])
    return bool(change.written) or not len(readings) or readings["catalogue_digest"][0].as_py() != digest
