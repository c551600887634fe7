"""Prefect flows: each reads like the process on paper. This file imports no flow, so the command line starts fast."""

from typing import Literal

Stage = Literal["catalogue", "images", "features", "embeddings", "labels", "recommendations", "results"]
"""Stages of the process, in order; a run may stop after any of them."""

Trainable = Literal["classifier", "embedding"]
"""Models that `flows.train` trains."""
