"""The process that turns a catalogue into recommendations, stage by stage; the flows run all of it or a part."""

from collections.abc import Iterator

from prefect.runtime import flow_run

from flows import Stage
from flows.stages import run_stage
from recsys.core.configuration import Configuration
from recsys.ingest.images.ledger import Recheck
from recsys.models.classifier.registry import Classifier
from recsys.models.embedding.serving import Model, encoders_in_use
from recsys.models.features import check_backbone
from recsys.reporting import publication
from tasks.catalogue import read_catalogue
from tasks.classifier import current_classifier, missing_predictions, predict_labels
from tasks.embedding import (
    embed_pictures,
    embed_words,
    embedding_to_serve,
    missing_embeddings,
    missing_words,
    serve_embedding,
)
from tasks.features import extract_features, missing_features
from tasks.images import (
    fetch_images,
    fetch_views,
    missing_images,
    missing_views,
    placeholders_to_replace,
    require_images,
)
from tasks.labels import label_products, missing_labels, save_class_balance
from tasks.recommendations import (
    index_embeddings,
    missing_recommendations,
    recommend_products,
    settle_recommendations,
    split_labels,
)
from tasks.results import evaluate_embedding, link_results, publish_results, state_of_shop

StageCounts = Iterator[tuple[Stage, int]]
"""After each stage, its name and the number of items that it processed."""


def run_until(last: Stage, stages: StageCounts) -> dict[Stage, int]:
    """Run the stages up to the last one that is requested; return the number of items of each."""
    done: dict[Stage, int] = {}
    for stage, items in stages:
        done[stage] = items
        if stage == last:
            break
    return done


def update_shop(
    home: str, catalogue: str, configuration: Configuration, *, train: bool = True, accept: bool = False
) -> StageCounts:
    """Run the whole process. Models that do not exist yet are trained, unless `train` is False."""
    check_backbone(configuration, home)
    change = read_catalogue(home, catalogue, configuration, accept)
    labelled = run_stage(missing_labels, label_products, home, configuration)
    save_class_balance(home)
    yield "catalogue", change.written + labelled

    yield from update_from_images(home, configuration, train=train)


def update_from_images(
    home: str, configuration: Configuration, recheck: Recheck | None = None, *, train: bool = True
) -> StageCounts:
    """Run the process after the catalogue stage: the images, also those to recheck, and all that depends on them."""
    threads = configuration.images.shards_at_once
    fetched = run_stage(missing_images, fetch_images, home, configuration, threads=threads, recheck=recheck)
    fetched += run_stage(placeholders_to_replace, fetch_images, home, configuration, threads=threads)
    require_images(home, configuration)
    fetched += run_stage(missing_views, fetch_views, home, configuration, threads=threads)
    yield "images", fetched

    encoders = encoders_in_use(home, configuration)
    yield "features", sum(run_stage(missing_features, extract_features, home, encoder) for encoder in encoders)

    model = embedding_to_serve(home, configuration, train)
    embedded = run_stage(missing_embeddings, embed_pictures, home, configuration, model=model)
    embedded += run_stage(missing_words, embed_words, home, configuration, model=model)
    yield "embeddings", embedded

    yield "labels", fill_labels(home, configuration, current_classifier(home, configuration, train))

    yield "recommendations", recommend_and_serve(home, configuration, model)

    yield "results", publish(home, configuration)


def fill_labels(home: str, configuration: Configuration, classifier: Classifier | None) -> int:
    """Label products that have no label, where the classifier is confident enough; return the number of items."""
    predicted, filling = 0, None
    if classifier is not None:
        predicted = run_stage(missing_predictions, predict_labels, home, configuration, classifier=classifier)
        filling = classifier.filling
    labelled = run_stage(missing_labels, label_products, home, configuration, filling=filling)
    if labelled:
        save_class_balance(home)
    return predicted + labelled


def recommend_and_serve(home: str, configuration: Configuration, model: Model | None) -> int:
    """Compute the recommendations by a model, or by the raw backbone, and make it serve; return the products."""
    split_labels(home, configuration, model)
    ranked = run_stage(missing_recommendations, recommend_products, home, configuration, model=model)
    settle_recommendations(home, configuration, model)
    index_embeddings(home, configuration, model)
    serve_embedding(home, configuration, model)
    return ranked


def publish(home: str, configuration: Configuration) -> int:
    """Evaluate the shop, log it to MLflow and write the report; return 1, or 0 if nothing changed."""
    state = state_of_shop(home, configuration)
    figures = evaluate_embedding(home, state, configuration)
    is_deleted = not publication.report_path(home).exists()
    published = publish_results.with_options(refresh_cache=is_deleted)(home, state, configuration, figures)
    link_results(home, published)
    return int(published.flow_run_id == flow_run.id)
