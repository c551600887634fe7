"""Read and write which embedding serves: the champion, or the features of the raw backbone if there is none.

A champion serves with the encoder that it was trained on, whatever section `backbone` has become, see `seen_by`.

RECSYS_HOME/embedding/<version>/     a trained model, its scoreboard, and checkpoints during the training
record embedding/<version>           a trained model
record embedding/champion            version that serves, and the versions before it
record embedding/challenger          version that passed the gate and serves as soon as its tables are full

Each model has its own tables in the store, so one record decides what serves.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.errors import ConfigurationError, ModelError, WeightsError
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

BUILT_IN_VERSION = re.compile(rf"({'|'.join(backbones.NAMES)})-imagenet-(\d+)-")
"""Start of the version of a built-in encoder: its name and the side of its input."""


@dataclass(frozen=True)
class Model:
    """Record of a trained embedding and of the gate's decision.

    Attributes:
        version: its name in the store.
        recipe: its name, or the path of its file.
        recipe_digest: digest of the recipe's content.
        data_digest: digest of the pictures that it was trained and evaluated on.
        sees: its input, `features` of a frozen backbone or whole `pictures`.
        backbone: version of its input features, with that of the histograms if it uses them; for pictures, the version
            of its initial backbone.
        size: length of a vector.
        trained_at: ISO 8601, UTC.
        run_id: id of its MLflow run.
        registered: its version in MLflow's model registry.
        promoted: whether the gate accepted it.
        reason: the gate's reason.
        against: version of the serving model when it was evaluated.
        precision: at 5, on held-out products, by level of the category path ("1", "2", ...).
        text_weight: share of the words in the likeness of two products, see `recsys.models.embedding.words`; 0 if it
            has no words.
        encoder: settings name, weights and input_size of the encoder whose features it sees; empty for pictures, and
            where the record of an older version does not show them.
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
    text_weight: float = 0.0
    encoder: dict[str, Any] = field(default_factory=dict)

    def fits(self, configuration: Configuration) -> bool:
        """Return whether the features of the configured encoder are those of its training; pictures always fit."""
        current = (backbone_version(configuration), features.model_version(configuration))
        return self.sees == SEES_PICTURES or self.backbone in current

    @property
    def input(self) -> str:
        """The name of the encoder whose features it sees, or `pictures`."""
        return SEES_PICTURES if self.sees == SEES_PICTURES else str(self.encoder.get("name", self.backbone))


@dataclass(frozen=True)
class Serving:
    """The serving model and its tables.

    Attributes:
        version: version of its vectors; a search compares vectors of one version only.
        model: None if the raw backbone serves.
        embeddings: table of its vectors, by image digest.
        recommendations: table of its recommendations.
    """

    version: str
    model: Model | None
    embeddings: str
    recommendations: str

    @classmethod
    def of(cls, model: Model | None, configuration: Configuration) -> Serving:
        """Return the tables of a model, or of the raw backbone for None."""
        if model is None:
            version = features.model_version(configuration)
            return cls(version, None, features.table_name(configuration), f"recommendations-{version}")
        return cls(model.version, model, f"embeddings-{model.version}", f"recommendations-{model.version}")

    def __str__(self) -> str:
        if self.model is None:
            return f"the raw backbone, {self.version}"
        return f"embedding {self.version}, which sees {self.model.input}"


@dataclass(frozen=True)
class Pointer:
    """The version that serves and those that served before it, the last at the end.

    None stands for the raw backbone.
    """

    version: str | None = None
    before: tuple[str | None, ...] = ()


def folder(home: Path | str) -> Path:
    """Return the folder of a home's embeddings."""
    return Path(home) / "embedding"


def serving(home: Path | str, configuration: Configuration) -> Serving:
    """Return the serving model.

    Raises:
        ModelError: the record of it is damaged.
    """
    return Serving.of(champion(home, configuration), configuration)


def champion(home: Path | str, configuration: Configuration) -> Model | None:
    """Return the champion; None if there is none, or if its encoder is not available, see `encoder_note`.

    Raises:
        ModelError: its record is missing or damaged.
    """
    version = pointer(home).version
    return None if version is None else _if_usable(home, version, configuration)


def challenger(home: Path | str, configuration: Configuration) -> Model | None:
    """Return the model that has passed the gate and waits for its tables to be filled; None if there is none."""
    version = waiting(home)
    return None if version is None else _if_usable(home, version, configuration)


def _if_usable(home: Path | str, version: str, configuration: Configuration) -> Model | None:
    """Return a trained model; None if its encoder is not available."""
    trained = model(home, version)
    try:
        seen_by(home, trained, configuration)
    except ModelError:
        return None
    return trained


def seen_by(home: Path | str, trained: Model | None, configuration: Configuration) -> Configuration:
    """Return the configuration of the features that a model sees: with its own encoder in section `backbone`.

    Everything that computes or reads the inputs of a model uses this configuration. It is the configured one for the
    raw backbone, and for a network, which sees pictures.

    Args:
        home: keeps converted backbones.
        trained: the model; None for the raw backbone.
        configuration: the configured encoder, and all other settings.

    Raises:
        ModelError: the encoder is not available any more, or the histograms are not those of its training.
    """
    if trained is None or trained.fits(configuration):
        return configuration
    problem = "its record has no settings of the encoder"
    try:
        if trained.encoder:
            own = configuration.with_backbone(**trained.encoder)
            backbones.require_available(own.backbone.name, features.backbones_folder(home))
            if trained.fits(own):
                return own
            problem = f"with the section 'colour' and the files of today they are {features.model_version(own)}"
    except (ConfigurationError, WeightsError) as error:
        problem = str(error)
    raise ModelError(
        f"embedding {trained.version} cannot serve, because it sees features of {trained.backbone} "
        f"({trained.input}): {problem}; restore them, or train it again"
    )


def encoders_in_use(home: Path | str, configuration: Configuration) -> list[Configuration]:
    """Return the configurations of the features that a run computes: the configured ones, then those of other encoders.

    The others are the encoders of the champion, and of a challenger that waits for its tables.
    """
    encoders = {features.model_version(configuration): configuration}
    for trained in (champion(home, configuration), challenger(home, configuration)):
        seen = seen_by(home, trained, configuration)
        encoders.setdefault(features.model_version(seen), seen)
    return list(encoders.values())


def encoder_note(home: Path | str, configuration: Configuration) -> str | None:
    """Return why no embedding on the configured encoder serves; None if one does, or if there is no champion."""
    version = pointer(home).version
    if version is None or (trained := model(home, version)).fits(configuration):
        return None
    try:
        seen_by(home, trained, configuration)
    except ModelError as error:
        return f"{error}. The raw backbone {features.model_version(configuration)} serves"
    return (
        f"embedding {version} keeps serving with its own encoder, {trained.input}: no embedding on the configured one, "
        f"{configuration.backbone.name}, has taken its place"
    )


def waiting(home: Path | str) -> str | None:
    """Return the version of the challenger, usable or not; None if there is none."""
    record = records.read(home, CHALLENGER)
    return None if record is None else str(record["version"])


def models(home: Path | str) -> list[Model]:
    """Return all trained models of a home, the oldest first."""
    trained = [_model(home, name, record) for name, record in _trained(home).items()]
    return sorted(trained, key=lambda each: (each.trained_at, each.version))


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
    every = records.read_all(home, "embedding/")
    return {Path(name).name: record for name, record in every.items() if name not in (CHAMPION, CHALLENGER)}


def _model(home: Path | str, version: str, record: Any) -> Model:
    try:
        trained = Model(**record)
    except TypeError as error:
        raise ModelError(str(records.damaged(home, f"embedding/{version}", error))) from error
    if trained.encoder or trained.sees == SEES_PICTURES or not (match := BUILT_IN_VERSION.match(trained.backbone)):
        return trained
    # a record of an older version
    return replace(trained, encoder={"name": match[1], "weights": "imagenet", "input_size": int(match[2])})


def pointer(home: Path | str) -> Pointer:
    """Return the version that serves and its predecessors."""
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
    """Return a model of the home, cached by the process.

    Raises:
        TrainingError: its files are missing or damaged; `recsys train embedding` trains it again.
    """
    from recsys.models.embedding.embedder import Embedder

    model_folder = folder(home) / version / "model"
    object_store.download(Path(home), model_folder)
    return Embedder.load(model_folder, features.backbones_folder(home))


def describe(
    images: NDArray[np.uint8], home: Path | str, serves: Serving, configuration: Configuration
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return unit vectors (n, d) and histograms (n, bins) of squared RGB images (n, 256, 256, 3) by the serving model.

    Raises:
        ModelError: the encoder of the model is not available any more.
        WeightsError: the backbone's weights are not available.
        TrainingError: the model's files are missing or damaged.
    """
    if serves.model is None:
        return features.describe(images, configuration, home)
    embedder = loaded(home, serves.version)
    if serves.model.sees == SEES_FEATURES:
        raw, histograms = features.describe(images, seen_by(home, serves.model, configuration), home)
        return embedder.embed_features(raw, histograms), histograms
    histograms = np.stack([colour.histogram(image, configuration.colour) for image in images])
    return embedder.embed_pictures(images), histograms


def backbone_version(configuration: Configuration) -> str:
    """Return the version of the configured backbone, without that of the histograms."""
    settings = configuration.backbone
    return backbones.version(settings.name, settings.weights, settings.input_size)
