"""The responses to failed requests: {"detail": "one line"} with the status of the error."""

import logging
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from recsys.core.errors import (
    HomeError,
    ModelError,
    NoImagesError,
    PhotoError,
    RecsysError,
    TrainingError,
    UnknownProductError,
    WeightsError,
)
from recsys.service.schemas import Problem

RESPONSES: dict[type[RecsysError], tuple[int, str | None]] = {
    UnknownProductError: (404, None),
    PhotoError: (422, None),
    HomeError: (503, "the home of this service contains no shop yet, or cannot be read"),
    NoImagesError: (503, "no product of the shop has features yet"),
    WeightsError: (503, "the weights of the backbone are not available"),
    TrainingError: (503, "the serving model is damaged"),
    ModelError: (503, "the serving model is damaged, or its encoder is not available"),
}
"""Status and public message of each error. None: the message of the error itself, which names no file of the owner."""

log = logging.getLogger(__name__)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the entries of /openapi.json for responses with these statuses."""
    return {status: {"model": Problem} for status in statuses}


async def respond_to_error(_: Request, error: Exception) -> JSONResponse:
    """Return the response to an error. An error that only the owner can fix is logged in full."""
    default = (500, "internal error; the log of the service has the details")
    status, message = next((RESPONSES[kind] for kind in RESPONSES if isinstance(error, kind)), default)
    if message is not None:
        log.error("%s: %s", type(error).__name__, error)
    return _problem(status, message or str(error))


async def respond_to_invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Return the response to an invalid parameter, with its name and the reason."""
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}".removeprefix(": ") for fault in error.errors()]
    return _problem(422, "; ".join(faults))


def _problem(status: int, detail: str) -> JSONResponse:
    return JSONResponse(Problem(detail=" ".join(detail.split())).model_dump(), status)
