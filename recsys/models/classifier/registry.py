"""Train the classifier of a home, keep the trained ones, and know which of them is current.

RECSYS_HOME/classifier/<version>/     a model, its metadata, and during its training the checkpoints
record classifier/<version>           metadata of a trained classifier
record classifier/current             metadata of the current classifier, which fills labels
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.core.errors import TrainingError, WeightsError
from recsys.ingest.catalogue.products import active_products
from recsys.models import examples
from recsys.models.classifier import ledger, pictures
from recsys.models.classifier.recipe import Recipe, load_recipe
from recsys.models.labels.ledger import Filling
from recsys.storage import object_store, records
from recsys.storage.store import Store
from recsys.vision.backbones.weights import locate

if TYPE_CHECKING:
    from recsys.models.classifier.label_model import LabelModel
    from recsys.models.training_run import TrainingRun
    from recsys.vision.training_loop import OnEpoch

CURRENT = "classifier/current"
"""Name of the record of the classifier that fills labels."""

RULE_VERSION = 2
"""Version of this package's code; raised when the same examples and recipe would give another model."""


@dataclass(frozen=True)
class Classifier:
    """Metadata of a trained classifier.

    Attributes:
        version: its name in the store.
        recipe_digest: digest of its recipe.
        labels: labels that it predicts.
        threshold: lowest confidence that fills a label; None if it fills none.
        run_id: id of its MLflow run.
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
        """Return which predictions fill labels."""
        return Filling(self.version, self.threshold)


def folder(home: Path | str) -> Path:
    """Return the folder of a home's classifiers."""
    return Path(home) / "classifier"


def current_classifier(home: Path | str) -> Classifier | None:
    """Return the classifier that fills labels; None if none was trained.

    Raises:
        TrainingError: its metadata is damaged.
    """
    return _read(home, CURRENT)


def is_up_to_date(store: Store, configuration: Configuration, classifier: Classifier | None) -> bool:
    """Return whether a classifier has the configured recipe and the labels that the catalogue and reviewers give.

    New or removed products do not make it outdated; `recsys train` trains after any change.
    """
    if classifier is None or classifier.recipe_digest != load_recipe(configuration.classifier.recipe).digest:
        return False
    labels = store.read("labels", ["product_id", "label"], examples.TRUSTED).to_pandas()
    active = labels["product_id"].isin(active_products(store, ["product_id"])["product_id"])
    return set(classifier.labels) == set(labels.loc[active, "label"])


def version_of(examples_digest: str, recipe: Recipe, precision: float) -> str:
    """Return the version of the model that these examples and this recipe give."""
    return digest([RULE_VERSION, examples_digest, recipe.digest, precision])[:16]


def train(
    store: Store,
    configuration: Configuration,
    on_epoch: OnEpoch | None = None,
    flow_run_id: str | None = None,
    catalogue_digest: str | None = None,
) -> Classifier:
    """Train a classifier on the store's products, log it to MLflow, and make it current.

    The same examples and recipe are not trained twice; an interrupted training resumes, in the same MLflow run.

    Args:
        store: the home's store.
        configuration: sections `classifier`, `backbone`, `balance` and `augmentation`.
        on_epoch: called after each epoch, see `training.train_head`.
        flow_run_id: id of the Prefect flow run, if any.
        catalogue_digest: digest of the catalogue update that the training is for, if any; a tag of the MLflow run.

    Raises:
        TrainingError: there are too few examples, or the training diverges or collapses.
        WeightsError: the weights of the recipe's network are not available.
        ConfigurationError: the recipe does not exist, or asks for fewer pictures than the classes have.
    """
    recipe_name = configuration.classifier.recipe
    recipe = load_recipe(recipe_name)
    with _name_recipe_in_errors(recipe_name):
        rows = examples.training_set(store, configuration, pictures.inputs_key(store, configuration, recipe))
    version = version_of(rows.attrs["digest"], recipe, configuration.classifier.precision)
    trained = _read(store.home, f"classifier/{version}")
    if trained is not None:
        _finish_interrupted(store.home, trained)
        return trained
    _check_requirements(rows, recipe, recipe_name)

    from recsys.models.classifier.training_record import classifier_run  # imports MLflow, which takes seconds

    run_context = classifier_run(store.home, configuration, recipe, rows, version, flow_run_id, catalogue_digest)
    with run_context as run:
        classifier = _train_new(store, configuration, recipe, rows, version, run, on_epoch)
    _make_current(store.home, classifier)
    return classifier


def load_classifier(home: Path | str, version: str) -> LabelModel:
    """Return the model of a classifier.

    Raises:
        TrainingError: it is missing or damaged; the next `train` trains it again.
    """
    from recsys.models.classifier.label_model import LabelModel

    model_folder = folder(home) / version / "model"
    object_store.download(Path(home), model_folder)
    try:
        return LabelModel.load(model_folder)
    except TrainingError:
        records.write(home, {}, delete=[f"classifier/{version}"])
        raise


def _check_requirements(rows: pd.DataFrame, recipe: Recipe, recipe_name: str) -> None:
    """Check labels and weights, before MLflow has a run of a training that is not possible."""
    from recsys.models.classifier.fitting import labels_of

    labels_of(rows)
    if recipe.network is not None:
        with _name_recipe_in_errors(recipe_name):
            locate(recipe.network.backbone, recipe.network.weights)  # downloads them where that is possible


def _train_new(
    store: Store,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    version: str,
    run: TrainingRun,
    on_epoch: OnEpoch | None,
) -> Classifier:
    """Train, log and store a classifier."""
    from recsys.models.classifier.fitting import fit
    from recsys.models.classifier.training_record import log_fitted, note_on_unevaluated

    def report(epoch: int, metrics: dict[str, float]) -> None:
        run.log_epoch(epoch, metrics)
        if on_epoch is not None:
            on_epoch(epoch, metrics)

    version_folder = folder(store.home) / version
    checkpoints = version_folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    inputs = pictures.training_pictures(store, configuration, recipe, rows)
    with _name_recipe_in_errors(configuration.classifier.recipe):
        fitted = fit(rows, inputs, recipe, configuration, version, checkpoints, report)
    model = fitted.model
    model.save(version_folder / "model")
    registered = log_fitted(run, store, rows, inputs, fitted, version_folder / "model")
    ledger.write(store, rows, fitted.predictions, version)
    classifier = Classifier(version, recipe.digest, model.labels, model.threshold, run.run_id, registered)
    object_store.upload(store.home, version_folder)
    # The classifier counts as trained once this record exists, whatever happens afterwards.
    records.write(store.home, {f"classifier/{version}": asdict(classifier)})
    if fitted.unevaluated:
        progress.note(note_on_unevaluated(fitted.unevaluated))
    return classifier


def _finish_interrupted(home: Path, classifier: Classifier) -> None:
    """Crash recovery: finish the last steps of a training, and make its classifier current."""
    if (folder(home) / classifier.version / "checkpoints").exists():
        from recsys.models.classifier.training_record import MODEL_NAME
        from recsys.models.training_run import finish_run

        finish_run(home, MODEL_NAME, classifier.run_id)
    _make_current(home, classifier)


def _make_current(home: Path, classifier: Classifier) -> None:
    records.write(home, {CURRENT: asdict(classifier)})
    shutil.rmtree(folder(home) / classifier.version / "checkpoints", ignore_errors=True)


@contextmanager
def _name_recipe_in_errors(recipe_name: str) -> Iterator[None]:
    """Name the recipe and its keys, not those of the configuration, in errors about the weights of its network."""
    try:
        yield
    except WeightsError as error:
        message = str(error).replace("backbone.weights", "weights").replace("backbone.name", "backbone")
        raise WeightsError(f"recipe '{recipe_name}', section [network]: {message}") from error


def _read(home: Path | str, name: str) -> Classifier | None:
    record = records.read(home, name)
    try:
        return None if record is None else Classifier(**{**record, "labels": tuple(record["labels"])})
    except (TypeError, LookupError) as error:
        raise TrainingError(str(records.damaged(home, name, error))) from error
