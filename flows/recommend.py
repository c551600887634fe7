"""The main job: a catalogue goes in, recommendations for every product with a picture come out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from prefect import flow
from prefect.runtime import flow_run

from flows.stages import alone, over_shards
from recsys.core.configuration import Configuration, load
from recsys.ingest.images.ledger import Recheck
from recsys.models.classifier.registry import Classifier
from recsys.models.embedding.serving import Model
from recsys.reporting import publication
from tasks.catalogue import read_catalogue
from tasks.classifier import classifier_at_hand, missing_predictions, predict_labels
from tasks.embedding import embed_pictures, embedding_to_serve, missing_embeddings, serve_embedding
from tasks.features import extract_features, missing_features
from tasks.images import (
    account_for_images,
    fetch_images,
    fetch_views,
    missing_images,
    missing_views,
    placeholders_to_replace,
)
from tasks.labels import label_products, missing_labels, show_class_balance
from tasks.recommendations import index_embeddings, missing_recommendations, recommend_products
from tasks.results import evaluate_embedding, publish_results, show_results, state_of_shop

Stage = Literal["catalogue", "images", "features", "embeddings", "labels", "recommendations", "results"]


def process(
    home: str, catalogue: str, configuration: Configuration, *, train: bool = True
) -> Iterator[tuple[Stage, int]]:
    """The process as on paper: after each stage, its name and how many items it had to do.

    A generator, so that whoever takes no more of its stages stops it there. Models that there are none of yet are
    trained unless `train` is False.
    """
    change = read_catalogue(home, catalogue, configuration)
    labelled = over_shards(missing_labels, label_products, home, configuration)
    show_class_balance(home)
    yield "catalogue", change.written + labelled

    yield from bring_up_to_date(home, configuration, train=train)


def bring_up_to_date(
    home: str, configuration: Configuration, again: Recheck | None = None, *, train: bool = True
) -> Iterator[tuple[Stage, int]]:
    """The process behind the catalogue: images, also those to be asked for `again`, and what follows of them."""
    threads = configuration.images.shards_at_once
    fetched = over_shards(missing_images, fetch_images, home, configuration, threads=threads, again=again)
    fetched += over_shards(placeholders_to_replace, fetch_images, home, configuration, threads=threads)
    account_for_images(home, configuration)
    fetched += over_shards(missing_views, fetch_views, home, configuration, threads=threads)
    yield "images", fetched

    yield "features", over_shards(missing_features, extract_features, home, configuration)

    model = embedding_to_serve(home, configuration, train)
    yield "embeddings", over_shards(missing_embeddings, embed_pictures, home, configuration, model=model)

    yield "labels", fill_labels(home, configuration, classifier_at_hand(home, configuration, train))

    yield "recommendations", put_in_service(home, configuration, model)

    state = state_of_shop(home, configuration)
    figures = evaluate_embedding(home, state, configuration)
    gone = not publication.report_path(home).exists()
    results = publish_results.with_options(refresh_cache=gone)(home, state, configuration, figures)
    show_results(home, results)
    yield "results", int(results.flow_run_id == flow_run.id)


def fill_labels(home: str, configuration: Configuration, model: Classifier | None) -> int:
    """The process that gives a label to products without one, where the classifier is sure enough."""
    predicted, filling = 0, None
    if model is not None:
        predicted = over_shards(missing_predictions, predict_labels, home, configuration, model=model)
        filling = model.filling
    labelled = over_shards(missing_labels, label_products, home, configuration, filling=filling)
    if labelled:
        show_class_balance(home)
    return predicted + labelled


def put_in_service(home: str, configuration: Configuration, model: Model | None) -> int:
    """The process that ranks the products by a model, or the raw backbone, and then has it serve."""
    ranked = over_shards(missing_recommendations, recommend_products, home, configuration, model=model)
    index_embeddings(home, configuration, model)
    serve_embedding(home, configuration, model)
    return ranked


@flow(name="recommend", flow_run_name="recommend from {catalogue}", persist_result=True)
def recommend(
    home: str, catalogue: str, flags: dict[str, Any] | None = None, stop_after: Stage = "results"
) -> dict[Stage, int]:
    """Bring everything in the home up to date with a catalogue; what is there already is not done again.

    Args:
        home: the folder that holds everything of the shop.
        catalogue: a file or an http(s) URL.
        flags: configuration that outranks the home's file and the environment.
        stop_after: the last stage to run.

    Returns:
        How many items each stage had to do: all 0 when there was nothing to do.
    """
    configuration = load(Path(home), flags)
    with alone(home, configuration):
        return until(stop_after, process(home, catalogue, configuration))


def until(last: Stage, stages: Iterator[tuple[Stage, int]]) -> dict[Stage, int]:
    """Go through the stages up to the last one that is wanted, and return how many items each had to do."""
    done: dict[Stage, int] = {}
    for stage, items in stages:
        done[stage] = items
        if stage == last:
            break
    return done
