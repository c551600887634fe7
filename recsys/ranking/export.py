"""The recommendations as a file: CSV, JSON Lines or Parquet, on a disk or in an object store.

Each row says what it rests on, in the columns `model`, `catalogue` and `rule`, so that files of different days can be
told apart, and their rows mixed. Parquet has them in the schema's metadata too (`recsys.model`, ...), to be had without
reading a row. `catalogue` and `rule` are empty where a ranking rests on older ones: a run was stopped before it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.core.configuration import Configuration
from recsys.core.errors import ExportError
from recsys.models.embedding.serving import serving
from recsys.ranking import RULE_VERSION
from recsys.ranking.shop import bases
from recsys.storage.spreadsheet import write_csv
from recsys.storage.store import Store, digest

SUFFIXES = (".csv", ".jsonl", ".parquet")
SCORES = ["visual", "colour", "price", "total"]
COLUMNS = ["product_id", "name", "rank", "neighbour_id", *SCORES, "model", "catalogue", "rule"]
DECIMALS = 6
"""Of a score in a text file: those of float32."""


def export(store: Store, configuration: Configuration, out: str | os.PathLike[str]) -> int:
    """Write every recommendation of the model that serves to a file and return how many rows it has.

    In CSV, a cell that a spreadsheet would run as a formula has an apostrophe in front (see
    `recsys.storage.spreadsheet`).

    Args:
        store: the store.
        configuration: says what serves, see `recsys.models.embedding.serving`.
        out: `.csv`, `.jsonl` or `.parquet`, a path or any URL that fsspec knows (`s3://bucket/shop.parquet`, where the
            package for it is installed); written whole or not at all.

    Raises:
        ExportError: another suffix, nothing to export, or the file cannot be written.
    """
    out = os.fspath(out)
    suffix = Path(urlsplit(out).path if "://" in out else out).suffix
    if suffix not in SUFFIXES:
        raise ExportError(f"cannot export to '{_shown(out)}': its name must end in one of {', '.join(SUFFIXES)}")
    told = versions(store, configuration)
    frame = recommendations(store, configuration, told)
    if frame.empty:
        raise ExportError(f"home {store.home} holds no recommendations yet; run 'recsys run --catalogue FILE' first")
    try:
        if "://" in out:
            _upload(frame, told, out, suffix)
        else:
            _save(frame, told, Path(out))
    except OSError as error:
        raise ExportError(f"cannot write {_shown(out)}: {error.strerror or error}") from error
    return len(frame)


def versions(store: Store, configuration: Configuration) -> dict[str, str]:
    """Return what a ranking of now rests on.

    Returns:
        model: whose embeddings are compared; catalogue: the digest of the one that was read last; rule: its name, the
        version of its code and a digest of its settings.
    """
    rule = configuration.recommend
    settings = digest([rule.model_dump_json(exclude={"top", "demo_top", "shard_size"})])
    read = store.read("catalogues", ["catalogue_digest", "read_at"]).sort_by("read_at")["catalogue_digest"].to_pylist()
    return {
        "model": serving(store.home, configuration).version,
        "catalogue": read[-1] if read else "",
        "rule": f"{rule.rule}-{RULE_VERSION}-{settings[:8]}",
    }


def recommendations(store: Store, configuration: Configuration, told: dict[str, str]) -> pd.DataFrame:
    """Return the recommendations of all products that the catalogue lists, in its order, best first (see `COLUMNS`)."""
    serves = serving(store.home, configuration)
    listed = store.read("products", ["product_id", "position", "name"], "removed IS NULL").to_pandas()
    frame = store.read(serves.recommendations).to_pandas().merge(listed, on="product_id")
    now = bases(store, configuration, serves).rename("now")
    frame = frame.merge(now, on="product_id", how="left").sort_values(["position", "rank"])
    current = (frame["basis"] == frame["now"]).to_numpy()
    frame["model"] = told["model"]
    for name in ("catalogue", "rule"):
        frame[name] = pd.Series(told[name], index=frame.index, dtype=object).where(current, None)
    return frame[COLUMNS].reset_index(drop=True)


def _save(frame: pd.DataFrame, told: dict[str, str], path: Path) -> None:
    """Write the file beside where it is to be, and then give it its name."""
    scratch = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(frame, told, scratch, path.suffix)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _upload(frame: pd.DataFrame, told: dict[str, str], url: str, suffix: str) -> None:
    """Write the file here, and then to a URL in one transaction of its file system."""
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    try:
        system, path = url_to_fs(url)
        if isinstance(system, LocalFileSystem):
            return _save(frame, told, Path(path))
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / f"export{suffix}"
            _write(frame, told, whole, suffix)
            with whole.open("rb") as here, system.transaction, system.open(path, "wb") as there:
                shutil.copyfileobj(here, there, 1 << 20)
    except OSError:
        raise
    except Exception as error:  # each object store's package has its own
        raise ExportError(f"cannot write {_shown(url)}: {error or type(error).__name__}") from error


def _write(frame: pd.DataFrame, told: dict[str, str], path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        rows = pa.Table.from_pandas(frame, preserve_index=False)
        about = {f"recsys.{name}": value for name, value in told.items()}
        pq.write_table(rows.replace_schema_metadata({**(rows.schema.metadata or {}), **about}), path)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, force_ascii=False, double_precision=DECIMALS)
    else:
        write_csv(frame.assign(**frame[SCORES].astype("float64").round(DECIMALS)), path)


def _shown(out: str) -> str:
    """Return a URL without the credentials and the query that it may carry; a path as it is."""
    if "://" not in out:
        return out
    url = urlsplit(out)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
