"""Find and remove what a home does not need any more; only `recsys clean` does it, nothing does it automatically.

Kept are the serving model, the targets of `upkeep.models` rollbacks, the newest models, everything that these need, and
results that a rerun would request from Prefect. Nothing in MLflow is removed.
"""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from recsys.core.configuration import Configuration
from recsys.models import features
from recsys.models.classifier import registry as classifiers
from recsys.models.embedding import serving
from recsys.ranking.outdated import record_name
from recsys.storage import object_store, records
from recsys.storage.compaction import files_of
from recsys.storage.disk_use import size_of
from recsys.storage.home import home_error
from recsys.storage.store import Store

DAY_S = 86_400.0

KEPT_RESULT = re.compile(r"(\w+)-[0-9a-f]{32}")
"""Name of a result that a rerun may request, see `tasks.policy.cache_key`: its task and its key."""

UNFINISHED = ("scratch/*", "*.part", "*/*.part", "tmp????????")
"""Files that only a killed process leaves behind; a running process holds the home's lock."""


@dataclass(frozen=True)
class Leftover:
    """Something that can be removed.

    Attributes:
        kind: kind for display, such as "trained embedding".
        name: name of the model, table or file.
        why: reason why it is not needed.
        bytes: bytes that its removal frees.
        path: the file or folder; None for a table.
        table: name of the table; None for a file or folder.
        record: name of the record that is deleted with it, if any.
        keep_end: for a log, number of bytes at its end that stay.
    """

    kind: str
    name: str
    why: str
    bytes: int
    path: Path | None = None
    table: str | None = None
    record: str | None = None
    keep_end: int | None = None


def leftovers(store: Store, configuration: Configuration) -> list[Leftover]:
    """Return what can be removed according to `upkeep`; nothing right after `remove`.

    Raises:
        ModelError, TrainingError: the record of a model is damaged.
        WeightsError: the configured backbone's weights, which the names of its tables depend on, are not available.
    """
    settings, now = configuration.upkeep, time.time()
    before = now - settings.days * DAY_S
    embeddings = _embeddings(store.home, settings.models)
    removable = [
        *_trainings(serving.folder(store.home), "embedding", {model.version for model in embeddings}, before),
        *_trainings(
            classifiers.folder(store.home), "classifier", _classifiers(store.home, settings.classifiers), before
        ),
    ]
    removed_models = {each.name for each in removable if "embedding" in each.kind}
    removable += _tables(store, configuration, embeddings, removed_models)
    removable += _backbones(store.home, configuration, embeddings)
    removed_tables = {each.table for each in removable}
    removable += [
        Leftover("index", table, "its table does not exist", 0, record=name)
        for name in records.read_all(store.home, "index/")
        if (table := Path(name).name) in removed_tables or not store.exists(table)
    ]
    removable += _results(store.home / "prefect" / "results", before)
    removable += [
        replace(_file(log, "log", "long"), bytes=size - settings.log_bytes, keep_end=settings.log_bytes)
        for log in sorted((store.home / "logs").glob("*.log"))
        if (size := log.stat().st_size) > settings.log_bytes
    ]
    unfinished = (path for pattern in UNFINISHED for path in sorted(store.home.glob(pattern)))
    removable += [_file(path, "unfinished file", "left by a killed process") for path in unfinished]
    return removable


def remove(store: Store, removable: Iterable[Leftover]) -> None:
    """Remove leftovers. The caller must hold the home's lock; after a kill a second call removes the rest.

    Raises:
        HomeError: something cannot be removed.
    """
    removable = list(removable)
    try:
        _forget(store.home, {each.name for each in removable if each.kind == "trained embedding"})
        if names := [each.record for each in removable if each.record is not None]:
            records.write(store.home, {}, delete=names)  # first: a model without a record is not a model
        for each in removable:
            if each.table is not None:
                store.drop(each.table)
            elif each.keep_end is not None:
                _cut(Path(str(each.path)), each.keep_end)
            elif each.path is not None:
                object_store.delete(store.home, each.path)
    except OSError as error:
        raise home_error(store.home, error) from error


def _embeddings(home: Path, newest: int) -> list[serving.Model]:
    """Return the trained embeddings that are kept."""
    known, pointer = serving.models(home), serving.pointer(home)
    used = (pointer.version, serving.waiting(home), *pointer.before[-newest:])
    kept = {*used, *(model.version for model in known[-newest:])}
    return [model for model in known if model.version in kept]


def _classifiers(home: Path, newest: int) -> set[str]:
    """Return the versions of the classifiers that are kept."""
    trained = [name for name in records.read_all(home, "classifier/") if name != classifiers.CURRENT]
    current = classifiers.current_classifier(home)
    return {Path(name).name for name in trained[-newest:]} | ({current.version} if current else set())


def _trainings(folder: Path, what: str, kept: set[str], before: float) -> Iterator[Leftover]:
    """Yield the models to remove, and interrupted trainings that were not resumed since."""
    trained = records.read_all(folder.parent, f"{folder.name}/")
    for path in sorted(each for each in folder.glob("*") if each.is_dir()):
        if (record := f"{folder.name}/{path.name}") in trained:
            if path.name not in kept:
                why = "older than the kept models, and not a rollback target"
                yield replace(_file(path, f"trained {what}", why), record=record)
        elif max((file.stat().st_mtime for file in [path, *path.rglob("*")]), default=before) < before:
            yield _file(
                path, f"training of {'an' if what[0] in 'aeiou' else 'a'} {what}", "interrupted, and not resumed"
            )


RANKINGS = ("recommendations", "candidates", "ranked", "partitions")
"""Kinds of tables that belong to a model, or to the raw features of a backbone."""


def _tables(
    store: Store, configuration: Configuration, embeddings: list[serving.Model], removed: set[str]
) -> Iterator[Leftover]:
    """Yield the tables of models to remove, and of backbones that are not configured and that no kept model needs."""
    configured = features.model_version(configuration)
    trainings = {path.name for path in serving.folder(store.home).glob("*") if path.is_dir()} - removed

    def seen(version: str) -> bool:
        """Return whether features are the configured ones, or those of a kept model."""
        return version == configured or any(
            version == model.backbone or version.startswith(f"{model.backbone}-") for model in embeddings
        )

    for table in store.tables():
        kind, _, version = table.partition("-")
        if (
            (kind == "features" and not seen(version))
            or (kind in ("embeddings", "words") and version not in trainings)
            or (kind in RANKINGS and version not in trainings and not seen(version))
        ):
            size = size_of(store.home / "store" / f"{table}.lance") or files_of(store, table).bytes
            record = record_name(version) if kind == "ranked" else None
            why = "belongs to a removed model, or to another backbone"
            yield Leftover("table", table, why, size, table=table, record=record)


def _backbones(home: Path, configuration: Configuration, embeddings: list[serving.Model]) -> Iterator[Leftover]:
    """Yield the ONNX models of built-in backbones that are not configured and that no kept embedding needs."""
    used = [features.model_version(configuration), *(model.backbone for model in embeddings)]
    for path in sorted((home / "backbones").glob("*.onnx")):
        if not any(version == path.stem or version.startswith(f"{path.stem}-") for version in used):
            yield _file(path, "backbone", "not configured, and no kept model needs it")


def _results(folder: Path, before: float) -> Iterator[Leftover]:
    """Yield old results of Prefect, except the newest of each task, which a rerun may request."""
    files = sorted((file for file in folder.glob("*") if file.is_file()), key=lambda file: file.stat().st_mtime)
    newest = {name[1]: file for file in files if (name := KEPT_RESULT.fullmatch(file.name))}
    for file in files:
        if file.stat().st_mtime < before and file not in newest.values():
            yield _file(file, "Prefect result", "of a run too old to retry")


def _file(path: Path, kind: str, why: str) -> Leftover:
    return Leftover(kind, path.name, why, size_of(path), path)


def _forget(home: Path, versions: set[str]) -> None:
    """Remove models from the targets of rollbacks."""
    now = serving.pointer(home)
    before = tuple(version for version in now.before if version not in versions)
    if before != now.before:
        serving.point(home, replace(now, before=before))


def _cut(log: Path, keep: int) -> None:
    """Keep only the end of a log; a server that writes to it continues at its end."""
    with log.open("r+b") as file:
        file.seek(-keep, 2)
        end = file.read()
        file.seek(0)
        file.truncate()
        file.write(end.partition(b"\n")[2])
