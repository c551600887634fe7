"""Records of a home, which all machines of a store share: one row of the table `records` each, a JSON value.

embedding/<version>      a trained embedding              embedding/champion      which one serves
classifier/<version>     a trained classifier             embedding/challenger    which one waits for its tables
index/<table>            how an index was built           classifier/current      which one fills labels
ranking/<version>        the last ranking by a model
refreshed                state at the end of the last complete refresh
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from recsys.core.errors import HomeError
from recsys.storage import format_1
from recsys.storage.object_store import url_of
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store, among

TABLE = "records"


def read(home: Path | str, name: str) -> Any:
    """Return a record; None if it does not exist.

    Raises:
        HomeError: the home cannot be used, or the record is damaged.
    """
    return read_all(home).get(name)


def read_all(home: Path | str, folder: str = "") -> dict[str, Any]:
    """Return all records whose name begins with `folder`, by name, the oldest first; none if there is no home.

    Raises:
        HomeError: the home cannot be used, or a record is damaged.
    """
    home = Path(home)
    if not (home / "home.json").exists() and url_of(home) is None:
        return {}
    store = Store(home, read_only=True)
    is_upgraded = store.format > format_1.FORMAT or store.exists(TABLE)
    rows = store.read(TABLE) if is_upgraded else format_1.records(home)
    records = {}
    for row in rows.sort_by([("written_at", "ascending"), ("name", "ascending")]).to_pylist():
        if row["name"].startswith(folder):
            try:
                records[row["name"]] = json.loads(row["record"])
            except ValueError as error:
                raise damaged(home, row["name"], error) from error
    return records


def write(home: Path | str, records: Mapping[str, Any], *, delete: Iterable[str] = ()) -> None:
    """Write records and delete others in one commit. The caller must hold the home's lock.

    Raises:
        HomeError: the home cannot be written to; nothing was written.
    """
    now = datetime.now(UTC)
    rows = [
        {"name": name, "written_at": now, "record": json.dumps(record, ensure_ascii=False)}
        for name, record in records.items()
    ]
    Store(home).write(TABLE, pa.Table.from_pylist(rows, SCHEMAS[TABLE]), replace=among("name", delete))


def damaged(home: Path | str, name: str, error: Exception) -> HomeError:
    """Return the error about a record that cannot be read."""
    return HomeError(
        f"the record '{name}' of home {home} is damaged ({error}); restore the home's store/ from a backup, or delete "
        "store/records.lance, embedding/ and classifier/ and train again"
    )
