"""The training as a whole: its progress, and its result from few or uninformative examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.core.errors import TrainingError
from recsys.models.classifier.fitting import Fitted, fit
from recsys.models.classifier.pictures import Pictures
from recsys.models.classifier.recipe import load_recipe
from tests.listening import Steps

pytestmark = pytest.mark.slow

WORDS = {"Watches": "quartz watch", "Footwear": "leather shoe", "Jewellery": "silver ring"}


def written(each: int, to: Path, named: bool = True) -> Fitted:
    """Train on products without pictures, so many of each label."""
    labels = [label for label in WORDS for _ in range(each)]
    names = [f"{WORDS[label]} {number}" if named else None for number, label in enumerate(labels)]
    examples = pd.DataFrame({"name": names, "brand": None, "label": labels, "image_digest": None})
    columns = ["example", "label", "image_digest", "group", "origin", "seed"]
    none = Pictures(pd.DataFrame({name: [] for name in columns}), np.arange(len(examples)), [])
    return fit(examples, none, load_recipe("default"), Configuration(), "v", to)


def test_a_training_on_text_alone_reports_progress(tmp_path: Path) -> None:
    steps = Steps()
    with progress.listen(steps):
        fitted = written(10, tmp_path)
    assert steps.total == steps.done == 6  # five folds, and all
    assert fitted.unevaluated == () and list(fitted.reports) == ["text"]
    assert fitted.reports["text"].accuracy == 1


def test_labels_with_one_product_each_are_learned_and_not_evaluated(tmp_path: Path) -> None:
    fitted = written(1, tmp_path)
    assert fitted.unevaluated == ("Footwear", "Jewellery", "Watches")
    assert fitted.reports == {} and fitted.model.threshold is None
    assert fitted.predictions["label"].isna().all()
    said = fitted.model.predict(np.empty((0, 0)), np.array([False]), ["a leather shoe"], [None])
    assert said["label"].tolist() == ["Footwear"]


def test_products_without_picture_and_text_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no labelled product has a picture, a name or a brand"):
        written(5, tmp_path, named=False)


def test_if_the_picture_training_collapses_the_text_is_used_alone(tmp_path: Path) -> None:
    labels = [label for label in WORDS for _ in range(20)]
    names = [f"{WORDS[label]} {number}" for number, label in enumerate(labels)]
    digests = [f"{number}" for number in range(len(labels))]
    examples = pd.DataFrame({"name": names, "brand": None, "label": labels, "image_digest": digests})
    rows = np.arange(len(labels))
    frame = {"example": rows, "label": labels, "image_digest": digests, "group": rows, "origin": "catalogue", "seed": 0}
    alike = np.full((len(rows), 8), 8**-0.5, np.float32)
    steps = Steps()
    with progress.listen(steps):
        pictures = Pictures(pd.DataFrame(frame), rows, alike)
        fitted = fit(examples, pictures, load_recipe("default"), Configuration(), "v", tmp_path)
    assert list(fitted.reports) == ["text"] and fitted.reports["text"].accuracy == 1
    assert fitted.model.head is None and fitted.model.text is not None
    assert steps.done == steps.total
    (note,) = steps.notes
    assert "using names and brands only" in note and "collapsed" in note
