"""The log of a training, as the task run and the user get it."""

from __future__ import annotations

import logging

import pytest

from recsys.core import progress
from tasks import events


class Notes(progress.Tally):
    """A listener that keeps the notes."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


def test_the_task_run_and_the_user_get_each_sentence_of_the_training_loop_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "get_run_logger", lambda: logging.getLogger("task run"))
    caplog.set_level(logging.INFO, "task run")
    loop, listener = logging.getLogger("recsys.vision.training_loop"), Notes()
    with progress.listen(listener):
        with events.training_log():
            for _ in range(6):  # the folds of a classifier
                loop.info("training on %s", "gpu: JAX 0.11.2, NVIDIA H200")
        loop.info("after the training")
    assert listener.notes == ["training on gpu: JAX 0.11.2, NVIDIA H200"]
    assert [record.getMessage() for record in caplog.records if record.name == "task run"] == listener.notes
    assert not loop.handlers and loop.level == logging.NOTSET


def test_the_log_ends_with_a_training_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "get_run_logger", lambda: logging.getLogger("task run"))
    with pytest.raises(ValueError, match="diverges"), events.training_log():
        raise ValueError("diverges")
    assert not logging.getLogger("recsys.vision.training_loop").handlers
