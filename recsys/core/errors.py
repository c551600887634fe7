"""Every error a user can meet, in one tree.

    RecsysError                     anything a user can mend; carries the exit code of the command line
    ├── ConfigurationError      3   an unknown key, an impossible value
    ├── CatalogueError          4   a file that is missing, empty, unreadable, or lacks a column
    ├── HomeError               5   the home is read-only, full, busy, or made by a newer version
    ├── UnknownProductError     6   an id that the catalogue does not list, or that has no picture
    ├── PhotoError              7   a photo that cannot be decoded or is not an image
    ├── WeightsError            8   the backbone's weights cannot be had
    ├── ServerError             9   Prefect, MLflow or the sample shop's host did not start
    ├── NoImagesError          10   not one product of the catalogue has a usable image
    ├── PendingImagesError     11   images are left to fetch; running again asks only for those
    ├── ExportError            12   the recommendations cannot be written where asked
    ├── ScrapingError          13   keywords of a marketplace failed; running again asks only for those
    ├── TrainingError          14   a training cannot start or has failed
    ├── ReviewError            15   a file of answers cannot be taken in as it is
    ├── ModelError             16   a model cannot serve: there is none of that name, or the gate refuses it
    └── FetchError                  one attempt at one URL failed; never leaves the ledger
        ├── PermanentFetchError     will fail again: 404, not an image, truncated, ...
        └── TransientFetchError     may succeed later: time-out, reset, 429, 5xx

Exit code 0 is success, 1 is a defect of this program, 2 is a wrong command line.
A message names the file, row, key or URL and says what to do, on one line.
"""

from __future__ import annotations

from typing import Any


class RecsysError(Exception):
    """A failure that the user can understand and mend."""

    exit_code = 1


class ConfigurationError(RecsysError):
    """A configuration key is unknown or its value impossible."""

    exit_code = 3


class CatalogueError(RecsysError):
    """The catalogue cannot be read, or too little of it is valid."""

    exit_code = 4


class HomeError(RecsysError):
    """The home folder cannot be used as it is."""

    exit_code = 5


class UnknownProductError(RecsysError):
    """The product is not in the catalogue, or has nothing to be compared by."""

    exit_code = 6


class PhotoError(RecsysError):
    """A photo cannot be decoded, or breaks a safety limit."""

    exit_code = 7


class WeightsError(RecsysError):
    """The weights of a backbone cannot be had."""

    exit_code = 8


class ServerError(RecsysError):
    """A server that this program starts did not come up."""

    exit_code = 9


class NoImagesError(RecsysError):
    """No product of the catalogue has a usable image."""

    exit_code = 10


class PendingImagesError(RecsysError):
    """Some images could not be fetched yet; what was fetched is kept.

    Attributes:
        counts: how the images of a shard ended, where it is about one.
    """

    exit_code = 11

    def __init__(self, message: str, counts: Any = None) -> None:
        super().__init__(message)
        self.counts = counts


class ExportError(RecsysError):
    """The recommendations cannot be written where they were asked for."""

    exit_code = 12


class ScrapingError(RecsysError):
    """Some keywords could not be searched for; what was found for the others is kept."""

    exit_code = 13


class TrainingError(RecsysError):
    """A training cannot start, or has failed; its last checkpoint is kept."""

    exit_code = 14


class CollapsedTrainingError(TrainingError):
    """A training learns nothing from its examples."""


class ReviewError(RecsysError):
    """A file of answers cannot be taken in; nothing of it was saved."""

    exit_code = 15


class ModelError(RecsysError):
    """A model cannot serve; the one that does goes on."""

    exit_code = 16


class FetchError(RecsysError):
    """One attempt at one image URL failed.

    Attributes:
        cause: the ledger's word for it, such as `http_404`, `timeout` or `truncated`.
        http_code: the HTTP status where an answer came, else None.
        retry_after: seconds that the host asked for, else None.
    """

    def __init__(
        self, cause: str, message: str, http_code: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.http_code = http_code
        self.retry_after = retry_after


class PermanentFetchError(FetchError):
    """The same request would fail again."""


class TransientFetchError(FetchError):
    """The same request may succeed later."""
