"""Read and write which embedding serves: the champion, or the features of the raw backbone if there is none.

RECSYS_HOME/embedding/<version>/     a trained model, its scoreboard, and checkpoints during the training
record embedding/<version>           a trained model
record embedding/champion            version that serves, and the versions before it
record embedding/challenger          version that passed the gate and serves as soon as its tables are full

Each model has its own tables in the store, so one record decides what serves.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.errors import ModelError
from recsys.models import features
from recsys.storage import object_store, records
from recsys.vision import backbones, colour

if TYPE_CHECKING:
    from recsys.models.embedding.embedder import Embedder

REGISTERED = "product-embedding"
"""The models' name in MLflow's registry."""

CHAMPION, CHALLENGER = "embedding/champion", "embedding/challenger"
"""Names of the records that say which model serves, and which waits for its tables."""

SEES_FEATURES, SEES_PICTURES = "features", "pictures"


@dataclass(frozen=True)
class Model:
    """Record of a trained embedding and of the gate's decision.

    Attributes:
        version: names it in the store.
        recipe: its name, or the path of its file.
        recipe_digest: of the recipe's content.
        data_digest: of the pictures that it was trained on and judged by.
        sees: `features` of a frozen backbone, or whole `pictures`.
        backbone: version of the features that it sees, with that of the histograms if it sees these too; of what sees
            pictures, that of the backbone that it started from.
        size: numbers of a vector.
        trained_at: ISO 8601, UTC.
        run_id: of its MLflow run.
        registered: its version in MLflow's model registry.
        promoted: whether the gate let it pass.
        reason: the gate's sentence.
        against: version of what served when it was judged.
        precision: at 5, on held-out products, by level of the category path ("1", "2", ...).
    """

    version: str
    recipe: str
    recipe_digest: str
    data_digest: str
    sees: str
    backbone: str
    size: int
    trained_at: str
    run_id: str
    registered: str
    promoted: bool
    reason: str
    against: str
    precision: dict[str, float] = field(default_factory=dict)

    def usable(self, configuration: Configuration) -> bool:
        """Return whether it can serve beside the configured backbone: a head sees the features of its own alone."""
        there = (backbone_version(configuration), features.model_version(configuration))
        return self.sees == SEES_PICTURES or self.backbone in there


@dataclass(frozen=True)
class Serving:
    """What serves.

    Attributes:
        version: names its vectors; a search compares those of one version only.
        model: None where the raw backbone serves.
        embeddings: the store's table of its vectors, by image digest.
        recommendations: the store's table of what it recommends.
    """

    version: str
    model: Model | None
    embeddings: str
    recommendations: str

    @classmethod
    def of(cls, model: Model | None, configuration: Configuration) -> Serving:
        """Return a model, or the raw backbone, as what serves."""
        if model is None:
            version = features.model_version(configuration)
            return cls(version, None, features.table_name(configuration), f"recommendations-{version}")
        return cls(model.version, model, f"embeddings-{model.version}", f"recommendations-{model.version}")


@dataclass(frozen=True)
class Pointer:
    """The version that serves and those that served before it, the last at the end.

    None stands for the raw backbone.
    """

    version: str | None = None
    before: tuple[str | None, ...] = ()


def folder(home: Path | str) -> Path:
    """Return where the embeddings of a home are."""
    return Path(home) / "embedding"


def serving(home: Path | str, configuration: Configuration) -> Serving:
    """Return what serves now.

    Raises:
        ModelError: the record of it is damaged.
    """
    return Serving.of(champion(home, configuration), configuration)


def champion(home: Path | str, configuration: Configuration) -> Model | None:
    """Return the model that serves; None where none does, or it sees other features than the configured backbone's.

    Raises:
        ModelError: its record is missing or damaged.
    """
    version = pointer(home).version
    if version is None:
        return None
    found = model(home, version)
    return found if found.usable(configuration) else None


def passed_over(home: Path | str, configuration: Configuration) -> str | None:
    """Return the sentence that says why the champion does not serve; None where it does, or there is none."""
    version = pointer(home).version
    if version is None or model(home, version).usable(configuration):
        return None
    return (
        f"embedding {version} was trained on features of {model(home, version).backbone}, and configured is "
        f"{features.model_version(configuration)}: the raw backbone serves until one is trained on these"
    )


def challenger(home: Path | str, configuration: Configuration) -> Model | None:
    """Return the model that has passed the gate and waits for its tables to be filled; None where none does."""
    version = waiting(home)
    if version is None:
        return None
    found = model(home, version)
    return found if found.usable(configuration) else None


def waiting(home: Path | str) -> str | None:
    """Return the version that has passed the gate and waits for its tables to be filled; None where none does."""
    record = records.read(home, CHALLENGER)
    return None if record is None else str(record["version"])


def models(home: Path | str) -> list[Model]:
    """Return all trained models of a home, the oldest first."""
    found = [_model(home, name, record) for name, record in _trained(home).items()]
    return sorted(found, key=lambda each: (each.trained_at, each.version))


def model(home: Path | str, version: str) -> Model:
    """Return a trained model.

    Raises:
        ModelError: there is none of that version, or its record is damaged.
    """
    known = _trained(home)
    if version not in known:
        existing = f"there are {', '.join(sorted(known))}" if known else "none was trained yet"
        raise ModelError(f"there is no embedding '{version[:40]}'; {existing}")
    return _model(home, version, known[version])


def _trained(home: Path | str) -> dict[str, Any]:
    """Return the records of all trained models by version."""
    found = records.read_all(home, "embedding/")
    return {Path(name).name: record for name, record in found.items() if name not in (CHAMPION, CHALLENGER)}


def _model(home: Path | str, version: str, record: Any) -> Model:
    try:
        return Model(**record)
    except TypeError as error:
        raise ModelError(str(records.damaged(home, f"embedding/{version}", error))) from error


def pointer(home: Path | str) -> Pointer:
    """Return which model serves, and which did before."""
    record = records.read(home, CHAMPION) or {}
    try:
        return Pointer(record.get("version"), tuple(record.get("before", ())))
    except (AttributeError, TypeError) as error:
        raise ModelError(str(records.damaged(home, CHAMPION, error))) from error


def point(home: Path | str, to: Pointer, *, delete: Iterable[str] = ()) -> None:
    """Change which model serves, and delete other records, in one commit."""
    records.write(home, {CHAMPION: asdict(to)}, delete=delete)


@functools.lru_cache(maxsize=2)
def loaded(home: Path | str, version: str) -> Embedder:
    """Return a model of the home, which the process keeps: loading takes a second.

    Raises:
        TrainingError: its files are missing or damaged; `recsys train embedding` trains it again.
    """
    from recsys.models.embedding.embedder import Embedder

    model_folder = folder(home) / version / "model"
    object_store.download(Path(home), model_folder)
    return Embedder.load(model_folder)


def describe(
    images: NDArray[np.uint8], home: Path | str, serves: Serving, configuration: Configuration
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what serves makes of squared RGB images (n, 256, 256, 3): unit vectors (n, d), and histograms (n, bins).

    Raises:
        WeightsError: the backbone's weights cannot be had.
        TrainingError: the model's files are missing or damaged.
    """
    if serves.model is None:
        return features.describe(images, configuration)
    embedder = loaded(home, serves.version)
    if serves.model.sees == SEES_FEATURES:
        raw, histograms = features.describe(images, configuration)
        return embedder.embed_features(raw, histograms), histograms
    histograms = np.stack([colour.histogram(image, configuration.colour) for image in images])
    return embedder.embed_pictures(images), histograms


def backbone_version(configuration: Configuration) -> str:
    """Return the version of the configured backbone, without that of the histograms."""
    settings = configuration.backbone
    return backbones.version(settings.name, settings.weights, settings.input_size)
