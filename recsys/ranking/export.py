"""The stored recommendations as a file: CSV, JSON Lines or Parquet, on a disk or in an object store.

The columns `model`, `catalogue` and `rule` of each row name the versions that the ranking is based on, so that files
of different days can be mixed and still be distinguished. Parquet files also have them in the metadata of the schema
(`recsys.model`, ...), which is readable without reading a row. `catalogue` and `rule` are empty where a ranking is
outdated, because a run was stopped before it ranked the product again.
"""

import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.core.errors import ExportError
from recsys.models.embedding.serving import serving
from recsys.ranking.outdated import outdated
from recsys.ranking.reranking import RULE_VERSION
from recsys.storage.spreadsheet import write_csv
from recsys.storage.store import Store

SUFFIXES = (".csv", ".jsonl", ".parquet")
SCORES = ["visual", "colour", "price", "total"]
COLUMNS = ["product_id", "name", "rank", "neighbour_id", *SCORES, "model", "catalogue", "rule"]
DECIMALS = 6
"""Decimal places of a score in a text file; float32 has no more."""


def export(store: Store, configuration: Configuration, out: str | os.PathLike[str]) -> int:
    """Write every recommendation of the serving model to a file, and return the number of rows.

    In CSV, a cell that a spreadsheet would execute as a formula gets an apostrophe in front (see
    `recsys.storage.spreadsheet`).

    Args:
        store: the home's tables.
        configuration: selects the serving model, see `recsys.models.embedding.serving`.
        out: `.csv`, `.jsonl` or `.parquet`; a path, or any URL that fsspec supports (`s3://bucket/shop.parquet`, where
            the package for it is installed). The file is written whole or not at all.

    Raises:
        ExportError: the suffix is not supported, there is nothing to export, or the file cannot be written.
    """
    out = os.fspath(out)
    suffix = Path(urlsplit(out).path if "://" in out else out).suffix
    if suffix not in SUFFIXES:
        raise ExportError(
            f"cannot export to '{_without_secrets(out)}': its name must end in one of {', '.join(SUFFIXES)}"
        )
    versions = ranking_versions(store, configuration)
    frame = exported_rows(store, configuration, versions)
    if frame.empty:
        raise ExportError(f"home {store.home} has no recommendations yet; run 'recsys run --catalogue FILE' first")
    try:
        if "://" in out:
            _upload(frame, versions, out, suffix)
        else:
            _save(frame, versions, Path(out))
    except OSError as error:
        raise ExportError(f"cannot write {_without_secrets(out)}: {error.strerror or error}") from error
    return len(frame)


def ranking_versions(store: Store, configuration: Configuration) -> dict[str, str]:
    """Return the versions that a current ranking is based on.

    Returns:
        model: the version of the embeddings; catalogue: the digest of the last catalogue; rule: its name, the version
        of its code and a digest of its settings.
    """
    rule = configuration.recommend
    settings = digest([rule.model_dump_json(exclude={"top", "demo_top", "shard_size"})])
    catalogues = store.read("catalogues", ["catalogue_digest", "read_at"]).sort_by("read_at")
    digests = catalogues["catalogue_digest"].to_pylist()
    return {
        "model": serving(store.home, configuration).version,
        "catalogue": digests[-1] if digests else "",
        "rule": f"{rule.rule}-{RULE_VERSION}-{settings[:8]}",
    }


def exported_rows(store: Store, configuration: Configuration, versions: dict[str, str]) -> pd.DataFrame:
    """Return the recommendations of all products in the catalogue, in its order, best first (see `COLUMNS`)."""
    serves = serving(store.home, configuration)
    products = store.read("products", ["product_id", "position", "name"], "removed IS NULL").to_pandas()
    frame = store.read(serves.recommendations).to_pandas().merge(products, on="product_id")
    frame = frame.sort_values(["position", "rank"])
    is_current = ~frame["product_id"].isin(outdated(store, configuration, serves)).to_numpy()
    frame["model"] = versions["model"]
    for name in ("catalogue", "rule"):
        frame[name] = pd.Series(versions[name], index=frame.index, dtype=object).where(is_current, None)
    return frame[COLUMNS].reset_index(drop=True)


def _save(frame: pd.DataFrame, versions: dict[str, str], path: Path) -> None:
    """Write a temporary file next to the path, then rename it."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(frame, versions, part, path.suffix)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _upload(frame: pd.DataFrame, versions: dict[str, str], url: str, suffix: str) -> None:
    """Write a local temporary file, then copy it to a URL in one transaction of its file system."""
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    try:
        system, path = url_to_fs(url)
        if isinstance(system, LocalFileSystem):
            return _save(frame, versions, Path(path))
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / f"export{suffix}"
            _write(frame, versions, part, suffix)
            with part.open("rb") as source, system.transaction, system.open(path, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    except OSError:
        raise
    except Exception as error:  # each object store's package raises exceptions of its own
        raise ExportError(f"cannot write {_without_secrets(url)}: {error or type(error).__name__}") from error


def _write(frame: pd.DataFrame, versions: dict[str, str], path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        rows = pa.Table.from_pandas(frame, preserve_index=False)
        metadata = {f"recsys.{name}": version for name, version in versions.items()}
        pq.write_table(rows.replace_schema_metadata({**(rows.schema.metadata or {}), **metadata}), path)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, force_ascii=False, double_precision=DECIMALS)
    else:
        write_csv(frame.assign(**frame[SCORES].astype("float64").round(DECIMALS)), path)


def _without_secrets(out: str) -> str:
    """Return a URL without its credentials and its query; a path unchanged."""
    if "://" not in out:
        return out
    url = urlsplit(out)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
