"""Record the state of the last complete refresh, and how much of the catalogue has changed since a training.

record refreshed    the state at the end of the last complete refresh
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.core.tracking import TAG_CATALOGUE, TAG_FLOW_RUN, experiment, resumable
from recsys.ingest.catalogue.reading import digest_of
from recsys.ingest.images.ledger import count_images
from recsys.models.embedding.serving import models
from recsys.storage import records
from recsys.storage.store import Store

REFRESHES = "refreshes"
"""The MLflow experiment."""
REFRESHED = "refreshed"
"""Name of the record."""


def state_of(store: Store, catalogue: str, configuration: Configuration) -> str:
    """Return the digest of everything that a refresh depends on: the catalogue's bytes and the relevant settings.

    Args:
        store: store of the home.
        catalogue: see `recsys.ingest.catalogue.source.inputs`.
        configuration: configuration of the refresh.

    Raises:
        CatalogueError: the catalogue cannot be read.
    """
    content_digest = digest_of(catalogue, configuration, store.home / "scratch")
    return digest([store.id, content_digest, configuration.of_results()])


def is_up_to_date(home: Path, state: str) -> bool:
    """Return whether the last complete refresh ended in this state."""
    record = records.read(home, REFRESHED)
    return isinstance(record, dict) and record.get("state") == state


def ended(store: Store, state: str) -> bool:
    """Record that a refresh has completed, unless images are pending, and return whether it was recorded."""
    whole = not count_images(store).pending
    if whole:
        records.write(store.home, {REFRESHED: {"state": state, "at": datetime.now(UTC).isoformat()}})
    return whole


@dataclass(frozen=True)
class News:
    """Changes by the catalogue that was read last.

    Attributes:
        digest: of its products, as the table `catalogues` and every training have it.
        new, changed, removed: products.
        share: of the listed products, how many are new, changed or removed since the last training; where there has
            been none, all of them with the first catalogue, and None from the second on.
    """

    digest: str
    new: int
    changed: int
    removed: int
    share: float | None

    def __str__(self) -> str:
        since = "" if self.share is None else f"; {self.share:.1%} of the products since the last training"
        return f"{self.new:,} new, {self.changed:,} changed, {self.removed:,} removed{since}"


def news(store: Store) -> News:
    """Return the changes by the catalogue that was read last."""
    columns = ["catalogue_digest", "new", "changed", "removed", "read_at"]
    last = store.read("catalogues", columns).sort_by([("read_at", "descending")]).slice(0, 1).to_pylist()[0]
    return News(last["catalogue_digest"], last["new"], last["changed"], last["removed"], _share_since_training(store))


def _share_since_training(store: Store) -> float | None:
    trained = max((model.trained_at for model in models(store.home)), default=None)
    if trained is None:
        return 1.0 if store.count("catalogues") == 1 else None
    products = store.read("products", ["changed", "removed"]).to_pandas()
    moved = products[["changed", "removed"]].max(axis=1) > datetime.fromisoformat(trained)
    return float(moved.sum() / max(1, products["removed"].isna().sum()))


def log_refresh(
    home: Path, flow_run_id: str, catalogue_digest: str, counts: Mapping[str, int], drift: pd.DataFrame
) -> str:
    """Log a refresh to MLflow and return the run's id; a retry of the same flow run resumes its run.

    Args:
        home: home of the shop.
        flow_run_id: id of the Prefect flow run.
        catalogue_digest: digest of the catalogue; trainings that it causes carry it too.
        counts: number of products by kind of change.
        drift: result of `recsys.lifecycle.drift.update_drift`.
    """
    client, experiment_id = experiment(home, REFRESHES)

    from mlflow.entities import Metric

    run_id = resumable(client, experiment_id, flow_run_id)
    if run_id is None:
        tags = {TAG_CATALOGUE: catalogue_digest, TAG_FLOW_RUN: flow_run_id, "mlflow.source.name": "refresh"}
        name = f"catalogue {catalogue_digest[:8]}"
        run_id = client.create_run(experiment_id, tags=tags, run_name=name).info.run_id
    measured = {f"count/{name}": float(count) for name, count in counts.items()}
    for what, since, index in drift.melt("what").dropna().itertuples(index=False):
        measured[f"drift/{what}_{since}"] = index
    now = int(time.time() * 1000)
    client.log_batch(run_id, [Metric(key, value, now, 0) for key, value in measured.items()])
    client.set_terminated(run_id, "FINISHED")
    return str(run_id)
