"""What a home has no use for any more, and what of it goes: by `recsys clean`, and never by itself.

What serves stays, what as many roll-backs as `upkeep.models` go to, the newest models, and all that these need; so do
results that a rerun would ask Prefect for. What is in MLflow is nobody's to remove but a person's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from recsys.core.configuration import Configuration
from recsys.models import features
from recsys.models.classifier import registry as classifiers
from recsys.models.embedding import serving
from recsys.storage import shared
from recsys.storage.compaction import files_of, size_of
from recsys.storage.store import Store, home_error

DAY_S = 86_400.0

KEPT_RESULT = re.compile(r"(\w+)-[0-9a-f]{32}")
"""The name of a result that a rerun may ask for, see `tasks.policy.cache_key`: its task and its key."""

UNFINISHED = ("scratch/*", "*.part", "*/*.part", "tmp????????")
"""What only a process that was killed leaves behind; while one is at work it holds the home."""


@dataclass(frozen=True)
class Leftover:
    """Something that may go.

    Attributes:
        kind: such as "trained embedding", for people.
        name: of the model, the table or the file.
        why: nobody needs it.
        bytes: that it frees.
        place: the file or folder; None for a table.
        table: its name; None for a file or folder.
        keep_end: of a log, how many bytes of its end stay.
    """

    kind: str
    name: str
    why: str
    bytes: int
    place: Path | None = None
    table: str | None = None
    keep_end: int | None = None


def leftovers(store: Store, configuration: Configuration) -> list[Leftover]:
    """Return what may go, by what is configured in `upkeep`; none right after `remove`.

    Raises:
        ModelError, TrainingError: the record of a model is damaged.
        WeightsError: the configured backbone's weights cannot be had, by which it is told which tables are its own.
    """
    settings, now = configuration.upkeep, time.time()
    before = now - settings.days * DAY_S
    embeddings = _embeddings(store.home, settings.models)
    found = [
        *_trainings(serving.folder(store.home), "embedding", {model.version for model in embeddings}, before),
        *_trainings(
            classifiers.folder(store.home), "classifier", _classifiers(store.home, settings.classifiers), before
        ),
    ]
    going = {each.name for each in found if "embedding" in each.kind}
    found += _tables(store, configuration, embeddings, going)
    gone = {each.table for each in found}
    found += [
        _file(note, "index", "its table is not there")
        for note in sorted((store.home / "index").glob("*.json"))
        if note.stem in gone or not store.exists(note.stem)
    ]
    found += _results(store.home / "prefect" / "results", before)
    found += [
        replace(_file(log, "log", "long"), bytes=size - settings.log_bytes, keep_end=settings.log_bytes)
        for log in sorted((store.home / "logs").glob("*.log"))
        if (size := log.stat().st_size) > settings.log_bytes
    ]
    unfinished = (place for pattern in UNFINISHED for place in sorted(store.home.glob(pattern)))
    found += [_file(place, "unfinished file", "whoever wrote it was killed") for place in unfinished]
    return found


def remove(store: Store, going: Iterable[Leftover]) -> None:
    """Remove leftovers. Whoever calls it holds the home; one that is killed leaves what a second call removes.

    Raises:
        HomeError: something cannot be removed.
    """
    going = list(going)
    try:
        _forget(store.home, {each.name for each in going if each.kind == "trained embedding"})
        for each in going:
            if each.table is not None:
                store.drop(each.table)
            elif each.keep_end is not None:
                _cut(Path(str(each.place)), each.keep_end)
            elif each.place is not None:
                if each.place.is_dir():
                    shared.delete(store.home, each.place / "trained.json")  # half a model is none
                shared.delete(store.home, each.place)
    except OSError as error:
        raise home_error(store.home, error) from error


def _embeddings(home: Path, newest: int) -> list[serving.Model]:
    """Return the trained embeddings that stay."""
    known, pointer = serving.models(home), serving.pointer(home)
    waiting = (serving.read_json(serving.folder(home) / "challenger.json") or {}).get("version")
    kept = {pointer.version, waiting, *pointer.before[-newest:], *(model.version for model in known[-newest:])}
    return [model for model in known if model.version in kept]


def _classifiers(home: Path, newest: int) -> set[str]:
    """Return the versions of the classifiers that stay."""
    trained = sorted(classifiers.folder(home).glob("*/trained.json"), key=lambda file: file.stat().st_mtime)
    current = classifiers.current_classifier(home)
    return {file.parent.name for file in trained[-newest:]} | ({current.version} if current else set())


def _trainings(folder: Path, what: str, kept: set[str], before: float) -> Iterator[Leftover]:
    """Yield the models that do not stay, and the trainings that nobody has gone on with since."""
    for place in sorted(each for each in folder.glob("*") if each.is_dir()):
        if (place / "trained.json").exists():
            if place.name not in kept:
                yield _file(place, f"trained {what}", "older than those that stay, and nothing goes back to it")
        elif max((file.stat().st_mtime for file in [place, *place.rglob("*")]), default=before) < before:
            yield _file(
                place, f"training of {'an' if what[0] in 'aeiou' else 'a'} {what}", "interrupted, and not resumed"
            )


def _tables(
    store: Store, configuration: Configuration, embeddings: list[serving.Model], going: set[str]
) -> Iterator[Leftover]:
    """Yield the tables of models that do not stay, and of backbones that are not configured and serve no model."""
    configured = features.model_version(configuration)
    trainings = {place.name for place in serving.folder(store.home).glob("*") if place.is_dir()} - going

    def seen(version: str) -> bool:
        """Whether features are the configured ones, or those that a model needs that stays."""
        return version == configured or any(
            version == model.backbone or version.startswith(f"{model.backbone}-") for model in embeddings
        )

    for table in store.tables():
        kind, _, version = table.partition("-")
        if (
            (kind == "features" and not seen(version))
            or (kind == "embeddings" and version not in trainings)
            or (kind == "recommendations" and version not in trainings and not seen(version))
        ):
            size = size_of(store.home / "store" / f"{table}.lance") or files_of(store, table).bytes
            yield Leftover("table", table, "of a model that does not stay, or of another backbone", size, table=table)


def _results(folder: Path, before: float) -> Iterator[Leftover]:
    """Yield Prefect's results that are old, but the newest of each task: a rerun asks for it."""
    files = sorted((file for file in folder.glob("*") if file.is_file()), key=lambda file: file.stat().st_mtime)
    newest = {name[1]: file for file in files if (name := KEPT_RESULT.fullmatch(file.name))}
    for file in files:
        if file.stat().st_mtime < before and file not in newest.values():
            yield _file(file, "Prefect result", "of a run so old that nobody retries it")


def _file(place: Path, kind: str, why: str) -> Leftover:
    return Leftover(kind, place.name, why, size_of(place), place)


def _forget(home: Path, versions: set[str]) -> None:
    """Take models that go out of those that a roll-back goes to."""
    now = serving.pointer(home)
    before = tuple(version for version in now.before if version not in versions)
    if before != now.before:
        serving.point(home, replace(now, before=before))


def _cut(log: Path, keep: int) -> None:
    """Leave the end of a log; a server that writes to it goes on at its end."""
    with log.open("r+b") as file:
        file.seek(-keep, 2)
        end = file.read()
        file.seek(0)
        file.truncate()
        file.write(end.partition(b"\n")[2])
