"""Find out whether a backbone can be used on this machine, how large it is, and how fast."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from recsys.core.configuration import Backbone
from recsys.core.errors import RecsysError
from recsys.vision import backbones
from recsys.vision.backbones import hub_preset, weights
from recsys.vision.backbones.encoder_description import read_description
from recsys.vision.backbones.encoder_folder import model_files
from recsys.vision.backbones.speed import pictures_per_second

TRIAL = np.zeros((1, 256, 256, 3), np.uint8)


class Inventory(NamedTuple):
    """What is known of a backbone.

    Attributes:
        features: length of a vector; None if it cannot be used.
        bytes: size of its weights; None if they are not on this machine.
        pictures_per_second: None if it was not measured.
        weights: where they are, how to get them, or why they cannot be used.
    """

    features: int | None
    bytes: int | None
    pictures_per_second: float | None
    weights: str


def describe(settings: Backbone, folder: Path, *, measure: bool) -> Inventory:
    """Return what is known of a backbone; downloads and converts nothing.

    Args:
        settings: the backbone.
        folder: the folder that keeps converted backbones.
        measure: whether to measure its rate, which takes some seconds.
    """
    name = settings.name
    files, text = _files(settings, folder)
    size = backbones.FEATURE_SIZE.get(name)
    if not files:
        return Inventory(size, None, None, text)
    speed = None
    try:
        if measure or size is None:
            extractor = backbones.FeatureExtractor(
                name,
                settings.weights,
                settings.input_size,
                batch_size=settings.batch_size,
                device=settings.device,
                folder=folder,
            )
            size = extractor(TRIAL).shape[1]
            speed = pictures_per_second(extractor) if measure else None
    except RecsysError as error:
        return Inventory(size, None, None, str(error))
    return Inventory(size, sum(file.stat().st_size for file in files), speed, text)


def _files(settings: Backbone, folder: Path) -> tuple[list[Path], str]:
    """Return the files with the weights, and where they are; none and how to get them, or what is wrong."""
    name = settings.name
    try:
        if name in backbones.NAMES:
            own = settings.weights != "imagenet"
            file = weights.locate(name, settings.weights) if own else weights.local_file(name)
            return ([], weights.remedy(name)) if file is None else ([file], str(file) if own else "ImageNet")
        encoder, text = Path(name).expanduser(), "in the folder"
        if hub_preset.is_preset(name):
            encoder, text = folder / backbones.version(name), f"converted, {folder.name}/{backbones.version(name)}"
            if not encoder.is_dir():
                return [], "converted at the first use" + (
                    f", after {hub_preset.INSTALL}" if hub_preset.missing_packages() else ""
                )
        return model_files(encoder / read_description(encoder).file), text
    except RecsysError as error:
        return [], str(error)
