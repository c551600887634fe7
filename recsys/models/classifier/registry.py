"""Which classifier is at hand: trained once for the same examples and recipe, kept in the home and in MLflow.

RECSYS_HOME/classifier/<version>/     a model, its judgement, and while it is trained its checkpoints
RECSYS_HOME/classifier/at-hand.json   which of them fills labels
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.errors import TrainingError, WeightsError
from recsys.ingest.catalogue.products import active_products
from recsys.models import examples
from recsys.models.classifier import ledger, pictures
from recsys.models.classifier.recipe import Recipe, load_recipe
from recsys.models.labels.ledger import Filling
from recsys.storage import shared
from recsys.storage.store import Store, digest
from recsys.vision.backbones.weights import locate

if TYPE_CHECKING:
    from recsys.models.classifier.label_model import LabelModel

RULE_VERSION = 1
"""Of the code of this room; raised when the same examples and recipe would give another model."""


@dataclass(frozen=True)
class AtHand:
    """The classifier that fills labels.

    Attributes:
        version: names it in the store.
        recipe_digest: of its recipe.
        labels: that it knows.
        threshold: the least confidence that fills; None where nothing is filled.
        run_id: of its MLflow run.
        registered: its version in MLflow's model registry.
    """

    version: str
    recipe_digest: str
    labels: tuple[str, ...]
    threshold: float | None
    run_id: str
    registered: str

    @property
    def filling(self) -> Filling:
        """What fills labels."""
        return Filling(self.version, self.threshold)


def folder(home: Path | str) -> Path:
    """Return where the classifiers of a home are."""
    return Path(home) / "classifier"


def at_hand(home: Path | str) -> AtHand | None:
    """Return the classifier at hand; None where none has been trained."""
    return _read(folder(home) / "at-hand.json")


def fits(store: Store, configuration: Configuration, model: AtHand | None) -> bool:
    """Return whether the classifier at hand is of the configured recipe and of the labels that are given now.

    A product more or less is no reason to train; `recsys train` does it whatever changed.
    """
    if model is None or model.recipe_digest != load_recipe(configuration.classifier.recipe).digest:
        return False
    labels = store.read("labels", ["product_id", "label"], examples.GIVEN).to_pandas()
    listed = labels["product_id"].isin(active_products(store, ["product_id"])["product_id"])
    return set(model.labels) == set(labels.loc[listed, "label"])


def version_of(examples_digest: str, recipe: Recipe, precision: float) -> str:
    """Return the name of the model that these examples and this recipe give."""
    return digest([RULE_VERSION, examples_digest, recipe.digest, precision])[:16]


def train(
    store: Store,
    configuration: Configuration,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
    flow_run_id: str | None = None,
    catalogue_digest: str | None = None,
) -> AtHand:
    """Train the classifier on what the store holds, log it to MLflow, and make it the one at hand.

    The same examples and recipe train nothing; a training that was killed goes on, in the MLflow run that it began.

    Args:
        store: of the home.
        configuration: its sections `classifier`, `backbone`, `balance` and `augmentation`.
        on_epoch: called with the epoch, from 1, and its figures.
        flow_run_id: of the Prefect flow run, if any.
        catalogue_digest: of the update that the training is for, if any: a tag of the MLflow run.

    Raises:
        TrainingError: there is too little to learn from, or the training leads nowhere.
        WeightsError: those that the recipe's network starts from cannot be had.
        ConfigurationError: there is no such recipe, or it asks for fewer pictures than the classes have.
    """
    recipe = load_recipe(configuration.classifier.recipe)
    with _weights_of(configuration.classifier.recipe):
        rows = examples.training_set(store, configuration, pictures.learned_from(store, configuration, recipe))
    version = version_of(rows.attrs["digest"], recipe, configuration.classifier.precision)
    place = folder(store.home) / version
    if (trained := _read(place / "trained.json")) is not None:
        if (place / "checkpoints").exists():  # killed when all was done but this
            from recsys.models.classifier.training_record import finish_classifier_run

            finish_classifier_run(store.home, trained.run_id)
        _come_to_hand(store.home, trained)
        return trained

    from recsys.models.classifier.fitting import fit, labels_of

    labels_of(rows)  # before MLflow has a run that cannot be
    if recipe.network is not None:
        with _weights_of(configuration.classifier.recipe):
            locate(recipe.network.backbone, recipe.network.weights)  # downloaded, where that is the way to get them

    from recsys.models.classifier import training_record  # imports MLflow, which takes seconds

    (place / "checkpoints").mkdir(parents=True, exist_ok=True)
    started = training_record.classifier_run(
        store.home, configuration, recipe, rows, version, flow_run_id, catalogue_digest
    )
    with started as run:

        def epoch_ended(epoch: int, figures: dict[str, float]) -> None:
            run.log_epoch(epoch, figures)
            if on_epoch is not None:
                on_epoch(epoch, figures)

        shown = pictures.of_training(store, configuration, recipe, rows)
        with _weights_of(configuration.classifier.recipe):
            fitted = fit(rows, shown, recipe, configuration, version, place / "checkpoints", epoch_ended)
        fitted.model.save(place / "model")
        registered = training_record.log_fitted(run, store, rows, shown, fitted, place / "model")
        ledger.write(store, rows, fitted.predictions, version)
        threshold = fitted.model.threshold
        model = AtHand(version, recipe.digest, fitted.model.labels, threshold, run.run_id, registered)
        shared.give(store.home, place)
        shared.write_json(store.home, place / "trained.json", asdict(model))  # now it counts as trained
    if fitted.unjudged:
        progress.note(training_record.note_on_unjudged(fitted.unjudged))
    _come_to_hand(store.home, model)
    return model


def loaded(home: Path | str, version: str) -> LabelModel:
    """Return a classifier of the home.

    Raises:
        TrainingError: it is not there, or damaged; then the next `train` does it anew.
    """
    from recsys.models.classifier.label_model import LabelModel

    place = folder(home) / version
    shared.take(Path(home), place / "model")
    try:
        return LabelModel.load(place / "model")
    except TrainingError:
        shared.delete(Path(home), place / "trained.json")
        raise


def _come_to_hand(home: Path, model: AtHand) -> None:
    shared.write_json(home, folder(home) / "at-hand.json", asdict(model))
    shutil.rmtree(folder(home) / model.version / "checkpoints", ignore_errors=True)


@contextmanager
def _weights_of(recipe: str) -> Iterator[None]:
    """Have an error about the weights that a recipe's network starts from name the recipe and its keys."""
    try:
        yield
    except WeightsError as error:
        told = str(error).replace("backbone.weights", "weights").replace("backbone.name", "backbone")
        raise WeightsError(f"recipe '{recipe}', section [network]: {told}") from error


def _read(file: Path) -> AtHand | None:
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return AtHand(**{**told, "labels": tuple(told["labels"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, LookupError) as error:
        raise TrainingError(f"{file} is damaged ({error}); delete it and run 'recsys train classifier'") from error
