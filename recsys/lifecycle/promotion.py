"""Trained embeddings: made once of the same pictures and recipe, judged, and put in service only by the gate.

    train       a challenger: judged beside the champion, and kept in the home and in MLflow whatever the gate says
    promote     a model by its version, if the gate lets it pass as things are now
    roll_back   to what served before

Which one serves is `recsys.models.embedding.serving`. Before another does, its tables are filled; then one file is
replaced.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.errors import ModelError, TrainingError
from recsys.core.tracking import experiment
from recsys.models import features
from recsys.models.embedding import serving
from recsys.models.embedding.recipe import Recipe, load_recipe
from recsys.models.embedding.serving import Model, Pointer, Serving
from recsys.ranking import recommendations
from recsys.storage import shared
from recsys.storage.store import Store, digest
from recsys.vision import backbones

RULE_VERSION = 1
"""Of the code of this room; raised when the same pictures and recipe would give another model."""

SCOREBOARD, GATE = "scoreboard.csv", "gate.csv"
CHAMPION = "champion"
"""The alias, in MLflow's registry, of the model that serves."""


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        model: the challenger, which may serve by now, or never.
        new: whether it was trained now.
        waits: whether the gate let it pass, and it serves once its tables are full.
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
    """Train an embedding on what the store holds, judge it beside what serves, and log all of it to MLflow.

    It does not serve yet: one that the gate lets pass waits for its tables, see `serve`. The same pictures and recipe
    train nothing; a training that was killed goes on, in the MLflow run that it began.

    Args:
        store: of the home.
        configuration: its sections `embedding`, `backbone`, `evaluation`, `tsne`.
        on_epoch: called with the epoch, from 1, and its figures.
        flow_run_id: of the Prefect flow run, if any.
        catalogue_digest: of the update that the training is for, if any: a tag of the MLflow run.

    Raises:
        TrainingError: there is too little to learn from or to judge by, or the training leads nowhere.
        WeightsError: those that the recipe's network starts from cannot be had.
        ConfigurationError: there is no such recipe.
    """
    from recsys.models.embedding.examples import training_set

    recipe = load_recipe(configuration.embedding.recipe)
    rows = training_set(store, configuration)
    version = version_of(store, configuration, rows, recipe)
    place = serving.folder(store.home) / version
    if _whole(place):
        model = serving.model(store.home, version)
        if (place / "checkpoints").exists():  # killed when all was done but this
            from recsys.models.training_run import finish_run

            finish_run(store.home, serving.REGISTERED, model.run_id)
            _settle(place, model)
        return Outcome(model, new=False, waits=_waits(store.home, version))
    _require_enough(rows)

    from recsys.lifecycle.embedding_record import embedding_run, log_verdict  # MLflow: seconds to import
    from recsys.lifecycle.judging import judge_challenger
    from recsys.models.embedding import ledger
    from recsys.models.embedding.store_training import train_embedder
    from recsys.models.embedding.training import epochs_of

    against = serving.serving(store.home, configuration)
    (place / "checkpoints").mkdir(parents=True, exist_ok=True)
    with embedding_run(store.home, configuration, recipe, rows, version, flow_run_id, catalogue_digest) as run:
        progress.begin("embedding", epochs_of(recipe, rows))

        def epoch_ended(epoch: int, figures: dict[str, float]) -> None:
            progress.advance("embedding")
            run.log_epoch(epoch, figures)
            if on_epoch is not None:
                on_epoch(epoch, figures)

        embedder = train_embedder(store, configuration, recipe, rows, version, place / "checkpoints", epoch_ended)
        embedder.save(place / "model")
        serving.loaded.cache_clear()
        embedder = serving.loaded(str(store.home), version)  # as it will serve, without what training added
        ledger.embed_missing(store, configuration, embedder)
        if against.model is not None:
            ledger.embed_missing(store, configuration, serving.loaded(str(store.home), against.version))
        verdict = judge_challenger(store, configuration, recipe, rows, version, against, place / "checkpoints")
        verdict.board.to_csv(place / SCOREBOARD, index=False)
        verdict.decision.table.to_csv(place / GATE, index=False)
        registered = log_verdict(run, store, configuration, embedder, verdict)
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
        )
        shared.give(store.home, place)
        shared.write_json(store.home, place / "trained.json", asdict(model))  # from here on it is trained
    _settle(place, model)
    return Outcome(model, new=True, waits=_waits(store.home, version))


def wanted(store: Store, configuration: Configuration) -> bool:
    """Return whether no embedding of the configured recipe was ever trained on the configured features.

    Whether the gate let it pass is no matter: the same again would fare no better. A product more or less is no reason
    to train; `recsys train embedding` does it whatever changed.
    """
    recipe = load_recipe(configuration.embedding.recipe)
    known = serving.models(store.home)
    return not any(each.recipe_digest == recipe.digest and each.usable(configuration) for each in known)


def serve(store: Store, configuration: Configuration, model: Model | None) -> None:
    """Have a model serve whose tables are full, in the store and in MLflow: the alias `champion` goes with it.

    Args:
        store: of the home.
        configuration: says which features are the backbone's.
        model: None is the raw backbone.
    """
    now, version = serving.pointer(store.home), model.version if model else None
    if version != now.version:
        _point(store, Pointer(version, (*now.before, now.version)), model)
    shared.delete(store.home, serving.folder(store.home) / "challenger.json")


def promote(store: Store, configuration: Configuration, version: str, *, force: bool = False) -> Model:
    """Have a model serve, whatever the gate said when it was trained: asked anew, beside what serves now.

    Args:
        store: of the home.
        configuration: the backbone, what is judged and how.
        version: of a trained model.
        force: do it though the gate refuses.

    Raises:
        ModelError: there is no such model; it cannot serve beside the configured backbone; or the gate refuses it.
        TrainingError: its files are damaged.
    """
    model = _usable(store, configuration, version)
    against = serving.serving(store.home, configuration)
    if against.version != version and not force:
        from recsys.lifecycle.judging import compare

        _fill_embeddings(store, configuration, model)
        _fill_embeddings(store, configuration, against.model)
        decision = compare(store, configuration, Serving.of(model, configuration), against)
        if not decision.promoted:
            raise ModelError(
                f"embedding {version} does not serve, {against.version} does: {decision.reason}; "
                "'recsys models rollback' goes back to what served before, --force promotes it all the same"
            )
    _fill(store, configuration, model)
    serve(store, configuration, model)
    return model


def roll_back(store: Store, configuration: Configuration) -> Serving:
    """Have what served before serve again: its model, its vectors and its recommendations, which are there still.

    Where the catalogue changed since, what it lacks is computed first.

    Returns:
        What serves then.

    Raises:
        ModelError: nothing served before; or it cannot serve beside the configured backbone.
        TrainingError: its files are damaged.
    """
    now = serving.pointer(store.home)
    if not now.before:
        raise ModelError("there is nothing to roll back to: no other embedding served before this one")
    *before, version = now.before
    model = _usable(store, configuration, version) if version is not None else None
    _fill(store, configuration, model)
    _point(store, Pointer(version, tuple(before)), model)
    shared.delete(store.home, serving.folder(store.home) / "challenger.json")
    return Serving.of(model, configuration)


def version_of(store: Store, configuration: Configuration, rows: pd.DataFrame, recipe: Recipe) -> str:
    """Return the name of the model that this training set and this recipe give."""
    learned = [RULE_VERSION, rows.attrs["digest"], recipe.digest]
    if recipe.network is not None:
        learned.append(_backbone(configuration, recipe))
        if recipe.network.materialised_images is not None:
            scraped = store.read("scraped", ["image_digest", "label"]).sort_by("image_digest").to_pylist()
            learned += [configuration.balance.model_dump_json(), configuration.augmentation.model_dump_json(), scraped]
    return digest(learned)[:16]


def _backbone(configuration: Configuration, recipe: Recipe) -> str:
    """Return the version of the backbone that a head sees the features of, or that a network starts from."""
    if recipe.network is None:
        seen = features.model_version if recipe.colour_weight else serving.backbone_version
        return seen(configuration)
    return backbones.version(recipe.network.backbone, recipe.network.weights, recipe.network.input_size)


def _require_enough(rows: pd.DataFrame) -> None:
    """Raise TrainingError, before MLflow has a run that cannot be, where there is too little to judge a model by."""
    from recsys.evaluation.gate import MIN_GROUPS

    held_out = rows.loc[rows["held_out"], "group"].nunique() if len(rows) else 0
    if held_out < MIN_GROUPS:
        raise TrainingError(
            f"the training of an embedding cannot start: of {rows['product_id'].nunique():,} products with a picture "
            f"and a category, {held_out} are held out to judge it by, and it takes {MIN_GROUPS}"
        )


def _whole(place: Path) -> bool:
    """Return whether a training was done to its end and its model can be loaded still."""
    if not (place / "trained.json").exists():
        return False
    try:
        serving.loaded.cache_clear()
        serving.loaded(str(place.parent.parent), place.name)
    except TrainingError:
        return False
    return True


def _settle(place: Path, model: Model) -> None:
    """Have a trained model wait for its tables if it passed the gate, and let its checkpoints go."""
    if model.promoted and serving.pointer(place.parent.parent).version != model.version:
        home = place.parent.parent
        shared.write_json(home, place.parent / "challenger.json", {"version": model.version})
    shutil.rmtree(place / "checkpoints", ignore_errors=True)


def _waits(home: Path, version: str) -> bool:
    told = serving.read_json(serving.folder(home) / "challenger.json")
    return told is not None and told["version"] == version


def _usable(store: Store, configuration: Configuration, version: str) -> Model:
    model = serving.model(store.home, version)
    if not model.usable(configuration):
        raise ModelError(
            f"embedding {version} sees features of {model.backbone}, and configured is "
            f"{features.model_version(configuration)}: set the sections 'backbone' and 'colour' as they were then, or "
            "train anew"
        )
    return model


def _fill(store: Store, configuration: Configuration, model: Model | None) -> None:
    """Fill a model's tables, so that it can serve at once."""
    _fill_embeddings(store, configuration, model)
    recommendations.recommend_missing(store, configuration, model)


def _fill_embeddings(store: Store, configuration: Configuration, model: Model | None) -> None:
    from recsys.models.embedding import ledger

    if model is not None and ledger.missing(store, configuration, model):
        ledger.embed_missing(store, configuration, serving.loaded(str(store.home), model.version))


def _point(store: Store, to: Pointer, model: Model | None) -> None:
    """Swap: the alias first, so that whoever is killed between the two repeats a command that does both."""
    client, _ = experiment(store.home, serving.REGISTERED)

    from mlflow.exceptions import MlflowException

    if model is not None:
        client.set_registered_model_alias(serving.REGISTERED, CHAMPION, model.registered)
    else:
        with contextlib.suppress(MlflowException):  # there is no such alias, or no such model
            client.delete_registered_model_alias(serving.REGISTERED, CHAMPION)
    serving.point(store.home, to)
