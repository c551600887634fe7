"""Read the records of a home of format 1, where each was a JSON file instead of a row of the table `records`."""

import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from recsys.storage.object_store import connect, store_errors
from recsys.storage.schemas import SCHEMAS

if TYPE_CHECKING:
    from obstore.store import ObjectStore

FORMAT = 1
RECORD_FILE = re.compile(r"(?P<name>(embedding|classifier|index)/[^/]+)(/trained)?\.json|(?P<root>refreshed)\.json")
RENAMED = {"classifier/at-hand": "classifier/current"}


def records(home: Path) -> pa.Table:
    """Return the rows of the table `records` that a home's files, or those of its object store, stand for.

    Raises:
        HomeError: the object store does not answer.
    """
    from obstore.store import LocalStore

    objects: ObjectStore = connect(home) or LocalStore(home)
    rows = []
    with store_errors(home):
        batches = [batch for folder in ("embedding", "classifier", "index") for batch in objects.list(folder)]
        for file in chain(*batches, objects.list_with_delimiter()["objects"]):
            if match := RECORD_FILE.fullmatch(file["path"]):
                name = match["name"] or match["root"]
                content = bytes(objects.get(file["path"]).bytes()).decode()
                rows.append({"name": RENAMED.get(name, name), "written_at": file["last_modified"], "record": content})
    return pa.Table.from_pylist(rows, SCHEMAS["records"])
