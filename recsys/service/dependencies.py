"""What the routes take from FastAPI's dependency injection: the state, the snapshot, and checked parameters."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, HTTPException, Query, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from recsys.core.configuration import Recommend
from recsys.service.snapshot import ProductFilters, SimilarOptions, Snapshot
from recsys.service.state import ServiceState

MAX_WEIGHT = 1_000.0
"""Largest weight of a score. A much larger one would make the other scores vanish in float32."""

CLOSE_CONNECTION = {"Connection": "close"}
"""Header of a response that refuses a body, so that the server does not read the rest of the body."""

ProductId = Annotated[str, PathParameter(pattern=r"^[^\x00]*$")]
"""A product id, which may contain slashes, but no NUL: numpy drops one at the end of a string."""
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]
Level = Annotated[float, Query(ge=1, le=4)]
Weight = Annotated[float, Query(ge=0, le=MAX_WEIGHT, allow_inf_nan=False)]


async def service_state(request: Request) -> ServiceState:
    """Return the state of the service that received the request."""
    state: ServiceState = request.app.state.service
    return state


State = Annotated[ServiceState, Depends(service_state)]


async def current_snapshot(state: State) -> Snapshot:
    """Return the snapshot for this request. The first request may have to wait until it has been read."""
    snapshot = state.snapshots.latest
    return await run_in_threadpool(state.snapshots.current) if snapshot is None else snapshot


CurrentSnapshot = Annotated[Snapshot, Depends(current_snapshot)]


async def photo_body(request: Request, state: State, content_type: Annotated[str, Header()] = "") -> bytes:
    """Return the photo in the request body. Reading ends at the limits of size and time."""
    if not content_type.lower().startswith("image/"):  # a form on another site cannot send this type
        detail = "send the photo as the request body, with a Content-Type such as image/jpeg"
        raise HTTPException(415, detail, CLOSE_CONNECTION)
    timeout_s = state.configuration.service.photo_timeout_s
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > state.max_photo_bytes:
                    detail = f"the photo is larger than {state.max_photo_bytes:,} bytes; send a smaller one"
                    raise HTTPException(413, detail, CLOSE_CONNECTION)
    except TimeoutError:
        raise HTTPException(408, f"the photo did not arrive within {timeout_s:g} s", CLOSE_CONNECTION) from None
    except ClientDisconnect:
        raise HTTPException(400, "the upload ended before the photo was complete") from None
    return bytes(body)


PhotoBody = Annotated[bytes, Depends(photo_body)]


Attributes = Annotated[list[Text], Query(max_length=8, description="NAME:VALUE of an attribute, such as material:wool")]


def options_parser(default: Recommend) -> Callable[..., Coroutine[Any, Any, SimilarOptions]]:
    """Return the dependency that reads the rule and the filters of a request.

    Args:
        default: the configured rule; its values are the defaults in /openapi.json too.
    """

    async def parse_options(
        top: Annotated[int, Query(ge=1, le=100)] = default.top,
        filter: Annotated[int, Query(ge=1, le=1000)] = default.filter,
        visual_weight: Weight = default.visual_weight,
        colour_weight: Weight = default.colour_weight,
        price_weight: Weight = default.price_weight,
        rule: Literal["default", "original"] = default.rule,
        label: Text | None = None,
        price_level: Annotated[list[Level], Query(max_length=8)] = [],  # noqa: B006  FastAPI copies it
        brand_not: Annotated[list[Text], Query(max_length=50)] = [],  # noqa: B006
        attribute: Attributes = [],  # noqa: B006
        in_stock: bool = False,
    ) -> SimilarOptions:
        weights = {"visual_weight": visual_weight, "colour_weight": colour_weight, "price_weight": price_weight}
        changes = {"rule": rule, "top": top, "filter": filter, **weights}
        try:
            checked = Recommend.model_validate({**default.model_dump(), **changes})
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        attributes = tuple(each.casefold() for each in attribute)
        filters = ProductFilters(label, tuple(price_level), tuple(brand_not), attributes, in_stock)
        return SimilarOptions(checked, filters)

    return parse_options
