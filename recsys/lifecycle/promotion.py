"""Train embeddings once per pictures and recipe, judge them, and let only the gate put them in service.

    train       train a challenger, judge it beside the champion, keep it in the home and in MLflow in either case
    promote     serve a model by its version, if the gate accepts it now
    roll_back   serve the previous model again

`recsys.models.embedding.serving` reads which model serves. Before a change the tables of the new model are filled;
then one file is replaced.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.core.errors import ModelError, TrainingError
from recsys.core.tracking import experiment
from recsys.models import features
from recsys.models.embedding import serving, words
from recsys.models.embedding.recipe import Recipe, load_recipe
from recsys.models.embedding.serving import Model, Pointer, Serving
from recsys.ranking import recommendations
from recsys.storage import object_store, records
from recsys.storage.store import Store
from recsys.vision import backbones

if TYPE_CHECKING:
    from recsys.models.embedding.embedder import Embedder

RULE_VERSION = 1
"""Version of the training code; increase it when the same pictures and recipe give another model."""

SCOREBOARD, GATE = "scoreboard.csv", "gate.csv"
CHAMPION = "champion"
"""Alias of the serving model in MLflow's registry."""


@dataclass(frozen=True)
class Outcome:
    """Result of a training.

    Attributes:
        model: the trained model.
        new: whether this call trained it.
        waits: whether the gate accepted it and it serves as soon as its tables are full.
    """

    model: Model
    new: bool
    waits: bool


def train(
    store: Store,
    configuration: Configuration,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
    flow_run_id: str | None = None,
    catalogue_digest: str | None = None,
) -> Outcome:
    """Train an embedding on the store's pictures, judge it beside the serving model, and log all of it to MLflow.

    It does not serve yet: an accepted model waits for its tables, see `serve`. The same pictures and recipe train
    nothing; a killed training resumes in its MLflow run.

    Args:
        store: store of the home.
        configuration: sections `embedding`, `backbone`, `evaluation`, `tsne`.
        on_epoch: called with the epoch, from 1, and its figures.
        flow_run_id: id of the Prefect flow run, if any.
        catalogue_digest: digest of the catalogue update that caused the training, if any; a tag of the MLflow run.

    Raises:
        TrainingError: there is too little to learn from or to judge by, or the training diverges or collapses.
        WeightsError: the initial weights of the recipe's network are not available.
        ConfigurationError: the recipe does not exist.
    """
    from recsys.models.embedding.examples import training_set

    recipe = load_recipe(configuration.embedding.recipe)
    rows = training_set(store, configuration)
    version = version_of(store, configuration, rows, recipe)
    folder = serving.folder(store.home) / version
    if _is_complete(folder):
        model = serving.model(store.home, version)
        if (folder / "checkpoints").exists():  # crash recovery: finish the interrupted clean-up
            from recsys.models.training_run import finish_run

            finish_run(store.home, serving.REGISTERED, model.run_id)
            _settle(folder, model)
        return Outcome(model, new=False, waits=_waits(store.home, version))
    _require_enough(rows)
    model = _train_and_judge(store, configuration, recipe, rows, version, on_epoch, flow_run_id, catalogue_digest)
    _settle(folder, model)
    return Outcome(model, new=True, waits=_waits(store.home, version))


def _train_and_judge(
    store: Store,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    version: str,
    on_epoch: Callable[[int, dict[str, float]], None] | None,
    flow_run_id: str | None,
    catalogue_digest: str | None,
) -> Model:
    """Train a challenger in one MLflow run, fill its table, judge it, and write its record."""
    from recsys.lifecycle.embedding_record import embedding_run, log_verdict  # imports MLflow: seconds
    from recsys.lifecycle.judging import judge_challenger
    from recsys.models.embedding import ledger
    from recsys.models.embedding.word_training import train_beside

    folder = serving.folder(store.home) / version
    against = serving.serving(store.home, configuration)
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    with embedding_run(store.home, configuration, recipe, rows, version, flow_run_id, catalogue_digest) as run:
        embedder = _train_embedder(store, configuration, recipe, rows, version, run.log_epoch, on_epoch)
        ledger.embed_missing(store, configuration, embedder)
        if against.model is not None:
            _embed_for_champion(store, configuration, against.model)
        weight = train_beside(store, configuration, recipe, rows, version, folder / "checkpoints")
        verdict = judge_challenger(store, configuration, recipe, rows, version, against, folder / "checkpoints", weight)
        verdict.board.to_csv(folder / SCOREBOARD, index=False)
        verdict.decision.table.to_csv(folder / GATE, index=False)
        registered = log_verdict(run, store, configuration, embedder, verdict, against.model)
        model = Model(
            version=version,
            recipe=configuration.embedding.recipe,
            recipe_digest=recipe.digest,
            data_digest=rows.attrs["digest"],
            sees=embedder.sees,
            backbone=_backbone(configuration, recipe),
            size=embedder.size,
            trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
            run_id=run.run_id,
            registered=registered,
            promoted=verdict.decision.promoted,
            reason=verdict.decision.reason,
            against=against.version,
            precision=verdict.precision,
            text_weight=weight,
            encoder=embedder.backbone if embedder.sees == serving.SEES_FEATURES else {},
        )
        object_store.upload(store.home, folder)
        records.write(store.home, {f"embedding/{version}": asdict(model)})  # the training is complete from here on
    return model


def _train_embedder(
    store: Store,
    configuration: Configuration,
    recipe: Recipe,
    rows: pd.DataFrame,
    version: str,
    log_epoch: Callable[[int, dict[str, float]], None],
    on_epoch: Callable[[int, dict[str, float]], None] | None,
) -> Embedder:
    """Train and save an embedder, and return it as it is loaded to serve."""
    from recsys.models.embedding import store_training
    from recsys.models.embedding.training import epochs_of

    folder = serving.folder(store.home) / version
    progress.begin("embedding", epochs_of(recipe, rows))

    def epoch_ended(epoch: int, figures: dict[str, float]) -> None:
        progress.advance("embedding")
        log_epoch(epoch, figures)
        if on_epoch is not None:
            on_epoch(epoch, figures)

    checkpoints = folder / "checkpoints"
    trained = store_training.train_embedder(store, configuration, recipe, rows, version, checkpoints, epoch_ended)
    trained.save(folder / "model")
    serving.loaded.cache_clear()
    return serving.loaded(str(store.home), version)


def _embed_for_champion(store: Store, configuration: Configuration, champion: Model) -> None:
    """Compute the champion's missing vectors of the pictures that the challenger is judged by.

    These are the pictures with features of the configured encoder, so that only those of another one are completed.
    """
    from recsys.models.embedding import ledger

    seen = serving.seen_by(store.home, champion, configuration)
    if seen != configuration:
        features.extract_missing(store, seen)
    ledger.embed_missing(store, seen, serving.loaded(str(store.home), champion.version))


def wanted(store: Store, configuration: Configuration) -> bool:
    """Return whether no embedding of the configured recipe was trained on the configured features yet.

    A refused model counts too: training the same again would not be better. Changed products are no reason to train;
    `recsys train embedding` trains whenever anything changed.
    """
    recipe = load_recipe(configuration.embedding.recipe)
    known = serving.models(store.home)
    return not any(each.recipe_digest == recipe.digest and each.fits(configuration) for each in known)


def serve(store: Store, configuration: Configuration, model: Model | None) -> None:
    """Put a model with full tables in service, in the home and by MLflow's alias `champion`.

    Args:
        store: store of the home.
        configuration: selects the features of the backbone.
        model: None for the raw backbone.
    """
    now, version = serving.pointer(store.home), model.version if model else None
    if version != now.version:
        _point(store, Pointer(version, (*now.before, now.version)), model)
    else:
        records.write(store.home, {}, delete=[serving.CHALLENGER])


def promote(store: Store, configuration: Configuration, version: str, *, force: bool = False) -> Model:
    """Put a model in service if the gate accepts it in place of the current one, whatever it decided before.

    It serves with its own encoder; missing features are computed first.

    Args:
        store: store of the home.
        configuration: the backbone, and settings of the evaluation.
        version: version of a trained model.
        force: promote even if the gate refuses.

    Raises:
        ModelError: the model does not exist, its encoder is not available, or the gate refuses it.
        TrainingError: its files are damaged.
    """
    model = serving.model(store.home, version)
    seen = serving.seen_by(store.home, model, configuration)
    against = serving.serving(store.home, configuration)
    if against.version != version and not force:
        from recsys.lifecycle.judging import compare

        _fill_embeddings(store, configuration, model)
        _fill_embeddings(store, configuration, against.model)
        decision = compare(store, seen, Serving.of(model, seen), against)
        if not decision.promoted:
            raise ModelError(
                f"embedding {version} is not promoted, {against.version} keeps serving: {decision.reason}; "
                "'recsys models rollback' restores the previous model, --force promotes this one anyway"
            )
    _fill(store, configuration, model)
    serve(store, configuration, model)
    return model


def roll_back(store: Store, configuration: Configuration) -> Serving:
    """Put the previous model in service again, with its vectors and recommendations, and return it.

    It serves with its own encoder. If the catalogue has changed since, the missing features, vectors and
    recommendations are computed first.

    Raises:
        ModelError: there is no previous model, or its encoder is not available.
        TrainingError: its files are damaged.
    """
    now = serving.pointer(store.home)
    if not now.before:
        raise ModelError("there is nothing to roll back to: no other embedding served before this one")
    *before, version = now.before
    model = serving.model(store.home, version) if version is not None else None
    _fill(store, configuration, model)
    _point(store, Pointer(version, tuple(before)), model)
    return Serving.of(model, configuration)


def version_of(store: Store, configuration: Configuration, rows: pd.DataFrame, recipe: Recipe) -> str:
    """Return the version of the model that this training set and recipe give."""
    learned = [RULE_VERSION, rows.attrs["digest"], recipe.digest]
    if recipe.network is not None:
        learned.append(_backbone(configuration, recipe))
        if recipe.network.materialised_images is not None:
            scraped = store.read("scraped", ["image_digest", "label"]).sort_by("image_digest").to_pylist()
            learned += [configuration.balance.model_dump_json(), configuration.augmentation.model_dump_json(), scraped]
    return digest(learned)[:16]


def _backbone(configuration: Configuration, recipe: Recipe) -> str:
    """Return the version of a head's features, or of a network's initial backbone."""
    if recipe.network is None:
        version = features.model_version if recipe.colour_weight else serving.backbone_version
        return version(configuration)
    return backbones.version(recipe.network.backbone, recipe.network.weights, recipe.network.input_size)


def _require_enough(rows: pd.DataFrame) -> None:
    """Raise TrainingError if there is too little to judge a model by; call it before an MLflow run exists."""
    from recsys.evaluation.gate import MIN_GROUPS

    held_out = rows.loc[rows["held_out"], "group"].nunique() if len(rows) else 0
    if held_out < MIN_GROUPS:
        raise TrainingError(
            f"the training of an embedding cannot start: of {rows['product_id'].nunique():,} products with a picture "
            f"and a category, {held_out} are held out to judge it by, and it takes {MIN_GROUPS}"
        )


def _is_complete(place: Path) -> bool:
    """Return whether a training is complete and its model can be loaded."""
    if records.read(place.parent.parent, f"embedding/{place.name}") is None:
        return False
    try:
        serving.loaded.cache_clear()
        serving.loaded(str(place.parent.parent), place.name)
    except TrainingError:
        return False
    return True


def _settle(place: Path, model: Model) -> None:
    """Let an accepted model wait for its tables, and delete the checkpoints."""
    if model.promoted and serving.pointer(place.parent.parent).version != model.version:
        records.write(place.parent.parent, {serving.CHALLENGER: {"version": model.version}})
    shutil.rmtree(place / "checkpoints", ignore_errors=True)


def _waits(home: Path, version: str) -> bool:
    return serving.waiting(home) == version


def _fill(store: Store, configuration: Configuration, model: Model | None) -> None:
    """Fill the tables of a model, so that it can serve."""
    _fill_embeddings(store, configuration, model)
    recommendations.recommend_missing(store, configuration, model)


def _fill_embeddings(store: Store, configuration: Configuration, model: Model | None) -> None:
    """Compute the missing features of a model's encoder, and the missing vectors of the model."""
    from recsys.models.embedding import ledger

    seen = serving.seen_by(store.home, model, configuration)
    features.extract_missing(store, seen)
    if model is not None:
        words.embed_missing_words(store, configuration, model)
    if model is not None and ledger.missing(store, seen, model):
        ledger.embed_missing(store, seen, serving.loaded(str(store.home), model.version))


def _point(store: Store, to: Pointer, model: Model | None) -> None:
    """Change the alias, then the record, and delete the challenger; a killed command is complete when repeated."""
    client, _ = experiment(store.home, serving.REGISTERED)

    from mlflow.exceptions import MlflowException

    if model is not None:
        client.set_registered_model_alias(serving.REGISTERED, CHAMPION, model.registered)
    else:
        with contextlib.suppress(MlflowException):  # the alias or the model does not exist
            client.delete_registered_model_alias(serving.REGISTERED, CHAMPION)
    serving.point(store.home, to, delete=[serving.CHALLENGER])
