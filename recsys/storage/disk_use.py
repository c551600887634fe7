"""How much disk a home takes, by part."""

import os
from pathlib import Path

PARTS = {
    "pictures": ("store/images.lance", "store/views.lance", "store/scraped.lance"),
    "features and embeddings": ("store/features-*", "store/embeddings-*", "store/words-*"),
    "recommendations": ("store/recommendations-*", "store/candidates-*", "store/ranked-*", "store/partitions-*"),
    "other tables": ("store/*",),
    "trained models": ("embedding", "classifier"),
    "MLflow: figures, pictures, models": ("mlflow",),
    "Prefect: kept results": ("prefect/results",),
    "Prefect: what ran": ("prefect/*",),
    "sample shop": ("sample-shop",),
    "report, logs and the rest": ("*",),
}
"""Parts of a home, each with path patterns; a path belongs to the first part that matches."""


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; 0 if it does not exist."""
    if path.is_file():
        return path.stat().st_size
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                size += (Path(folder) / name).lstat().st_size
            except FileNotFoundError:  # deleted meanwhile
                continue
    return size


def disk_use(home: Path) -> dict[str, int]:
    """Return the bytes on disk of each part of a home, without empty parts."""
    counted: set[Path] = set()
    parts = {}
    for part, patterns in PARTS.items():
        paths = {path for pattern in patterns for path in home.glob(pattern)} - counted
        counted |= paths | {parent for path in paths for parent in path.parents if parent != home}
        parts[part] = sum(size_of(path) for path in paths)
    return {part: size for part, size in parts.items() if size}
