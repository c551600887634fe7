"""Read and write which embedding serves: the champion, or the features of the raw backbone if there is none.

RECSYS_HOME/embedding/<version>/         a trained model, its scoreboard, and checkpoints during the training
RECSYS_HOME/embedding/champion.json      version that serves, and the versions before it
RECSYS_HOME/embedding/challenger.json    version that passed the gate and serves as soon as its tables are full

Each model has tables of its own in the store, so one name in one file decides what serves.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.errors import ModelError
from recsys.models import features
from recsys.storage import shared
from recsys.vision import backbones, colour

if TYPE_CHECKING:
    from recsys.models.embedding.embedder import Embedder

REGISTERED = "product-embedding"
"""The models' name in MLflow's registry."""

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
    """What `champion.json` says: the version that serves and those that served before it, the last at the end.

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
    record = read_json(folder(home) / "challenger.json")
    if record is None:
        return None
    found = model(home, record["version"])
    return found if found.usable(configuration) else None


def models(home: Path | str) -> list[Model]:
    """Return all trained models of a home, the oldest first."""
    found = [model(home, file.parent.name) for file in folder(home).glob("*/trained.json")]
    return sorted(found, key=lambda each: (each.trained_at, each.version))


def model(home: Path | str, version: str) -> Model:
    """Return a trained model.

    Raises:
        ModelError: there is none of that version, or its record is damaged.
    """
    known = {path.parent.name: path for path in sorted(folder(home).glob("*/trained.json"))}
    if version not in known:  # so nothing that a person types becomes another path
        there = f"there are {', '.join(known)}" if known else "none was trained yet"
        raise ModelError(f"there is no embedding '{version[:40]}'; {there}")
    file = known[version]
    try:
        return Model(**(read_json(file) or {}))
    except TypeError as error:
        raise ModelError(f"{file} is damaged ({error}); delete its folder and run 'recsys train embedding'") from error


def pointer(home: Path | str) -> Pointer:
    """Return which model serves, and which did before."""
    file = folder(home) / "champion.json"
    record = read_json(file) or {}
    try:
        return Pointer(record.get("version"), tuple(record.get("before", ())))
    except (AttributeError, TypeError) as error:
        raise ModelError(f"{file} is damaged ({error}); delete it, then run 'recsys models promote VERSION'") from error


def point(home: Path | str, to: Pointer) -> None:
    """Have another model serve; from one moment to the next, and whatever happens to this process."""
    shared.write_json(Path(home), folder(home) / "champion.json", asdict(to))


@functools.lru_cache(maxsize=2)
def loaded(home: Path | str, version: str) -> Embedder:
    """Return a model of the home, which the process keeps: loading takes a second.

    Raises:
        TrainingError: its files are missing or damaged; `recsys train embedding` trains it again.
    """
    from recsys.models.embedding.embedder import Embedder

    shared.take(Path(home), place := folder(home) / version / "model")
    return Embedder.load(place)


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


def read_json(file: Path) -> dict[str, Any] | None:
    """Return what a record says; None where there is none.

    Raises:
        ModelError: it is damaged.
    """
    try:
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return record
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise ModelError(f"{file} is damaged ({error}); delete it and run 'recsys train embedding'") from error
