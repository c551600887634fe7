"""Labels from the category tree."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_table_artifact

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.models.labels import ledger
from recsys.models.labels.merge_table import merge_table_notes
from recsys.storage.store import Shard, Store
from tasks import policy


@task(task_run_name="labels: what is missing", **policy.FRESH)
def missing_labels(home: str, configuration: Configuration, filling: ledger.Filling | None = None) -> list[Shard]:
    """Ask the store which products have no label yet, or one that rests on what has changed."""
    store = Store(home)
    if filling is None:
        for note in merge_table_notes(store, configuration):
            progress.note(note)
    return ledger.missing(store, configuration, filling)


@task(**policy.SHARD)
def label_products(
    home: str, shard: Shard, configuration: Configuration, filling: ledger.Filling | None = None
) -> ledger.LabelCounts:
    """Label a shard of products."""
    counts = ledger.label_shard(Store(home), shard, configuration, filling)
    progress.advance(shard.stage, len(shard.keys))
    return counts


@task(task_run_name="labels: class balance", **policy.FRESH)
def show_class_balance(home: str) -> None:
    """Keep the class balance as an artifact of the flow run."""
    create_table_artifact(
        key="class-balance",
        table=ledger.class_balance(Store(home)).to_dict("records"),
        description="Products of the active catalogue by label.",
    )
