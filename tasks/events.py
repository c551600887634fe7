"""Events of a shop, which trigger a training or a notification, and the log of trainings."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect.events import emit_event
from prefect.logging import get_run_logger

from recsys.core import progress
from recsys.storage.store import Store

UPDATED = "catalogue.updated"
"""A refresh has merged a catalogue. It triggers a training, see `prefect.yaml`."""
REFUSED = "challenger.refused"
"""A new embedding has failed the gate."""


def emit(event: str, store: Store, payload: Mapping[str, Any], **labels: str) -> None:
    """Emit an event about a home.

    Args:
        event: its name.
        store: of the home, which is the event's resource.
        payload: of the event.
        labels: of the resource, `recsys.NAME`; triggers can match them.
    """
    resource = {"prefect.resource.id": f"recsys.home.{store.id}", "prefect.resource.name": str(store.home.resolve())}
    emit_event(event, resource | {f"recsys.{name}": value for name, value in labels.items()}, payload=dict(payload))


def log_epoch(epoch: int, metrics: dict[str, float]) -> None:
    """Log the metrics of an epoch."""
    values = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
    get_run_logger().debug("epoch %s: %s", epoch, values)


@contextmanager
def training_log() -> Iterator[None]:
    """Copy the log of the training loop to the log of the task run, and each sentence once to the user.

    The loop logs the device of the training at the start of each phase.
    """
    logger, handler = logging.getLogger("recsys.vision.training_loop"), _TaskRunHandler()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _TaskRunHandler(logging.Handler):
    """Handler that passes each sentence on once."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._run_logger, self._sentences = get_run_logger(), set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        """Send a sentence to the task run's log and to the listeners of progress."""
        sentence = record.getMessage()
        if sentence not in self._sentences:
            self._sentences.add(sentence)
            self._run_logger.log(record.levelno, sentence)
            progress.note(sentence)
