"""The service: what the store knows, over HTTP. It reads the home and never writes to it.

    GET  /health                          the process is alive
    GET  /ready                           the store holds recommendations; 503 and why while it does not
    GET  /products/{product_id}/similar   what 'recsys recommend PRODUCT_ID --json' prints
    POST /similar                         the same for a photo, which is the body: curl --data-binary @shoe.jpg ...
    GET  /images/{product_id}             a product's squared picture
    GET  /openapi.json                    all of this for a program

What fails is answered as {"detail": one line}: 404 an unknown product, 413 a photo that is too large, 415 a body that
is not sent as a picture, 422 a value or a photo that cannot be used, 503 what only its owner can mend, and finds in
the log. Nothing that a client sends becomes a path, and CORS is off: pages of other sites cannot read the answers.
"""

# Annotations are evaluated here, unlike elsewhere: FastAPI looks no name up that only `create_service` knows.

import logging
import threading
from pathlib import Path
from typing import Annotated, Literal, Self

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

import recsys
from recsys.configuration import Configuration, Recommend
from recsys.embedding.serving import serving
from recsys.errors import (
    HomeError,
    ModelError,
    NoImagesError,
    PhotoError,
    RecsysError,
    TrainingError,
    UnknownProductError,
    WeightsError,
)
from recsys.images.square import square_photo
from recsys.recommendations import Answer, recommend_image, recommend_product
from recsys.store import Store, literal

UPLOAD_BYTES = 20 << 20
"""Of one photo, unless `images.max_bytes` is less: phones take photos of some 15 MB, and many may come at once."""

MAX_WEIGHT = 1_000.0
"""Of a score: with one far beyond it, float32 would lose the other score."""

IMAGE_MAX_AGE_S = 300
"""How long a picture is shown before a browser asks whether there is a new one, which costs a 304."""

ERRORS: dict[type[RecsysError], tuple[int, str | None]] = {
    UnknownProductError: (404, None),
    PhotoError: (422, None),
    HomeError: (503, "the home of this service holds no shop yet, or cannot be read"),
    NoImagesError: (503, "the shop has no product with features yet"),
    WeightsError: (503, "the weights of the backbone cannot be had"),
    TrainingError: (503, "the model that serves is damaged"),
    ModelError: (503, "the model that serves is damaged"),
}
"""The status of each error, and what is told instead of a message that may name the owner's files."""

HANG_UP = {"Connection": "close"}
"""With the refusal of a body, the rest of which a server would otherwise read."""

ProductId = Annotated[str, PathParameter(pattern=r"^[^\x00]*$")]
"""Anything that a catalogue may call a product, slashes included; numpy would not see a NUL at its end."""

log = logging.getLogger(__name__)


class Problem(BaseModel):
    """Why there is no answer, on one line."""

    detail: str


class State(BaseModel):
    """What a probe asks for."""

    status: Literal["alive", "ready"]


class Asked(BaseModel):
    """What recommendations were asked for: a product, or a photo without id, label and price."""

    product_id: str | None
    name: str | None
    label: str | None
    price: float | None
    price_level: float


class Recommendation(BaseModel):
    """A product, with the scores that it was chosen by."""

    rank: int
    product_id: str
    name: str | None
    brand: str | None
    label: str | None
    price: float | None
    price_level: float
    visual: float
    colour: float
    price_score: float
    total: float
    why: str


class Similar(BaseModel):
    """What was asked for, and its recommendations, best first."""

    query: Asked
    recommendations: list[Recommendation]

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """Return the library's answer as the service's."""
        return cls.model_validate_json(answer.to_json())


def create_service(home: Path, configuration: Configuration) -> FastAPI:
    """Return the service over a home, for any ASGI server. The home may be empty still, and may change any time.

    Args:
        home: the home folder.
        configuration: the rule that holds unless a client asks for another, the backbone, the limits of a photo.
    """
    service = FastAPI(
        title="Visual recommender",
        version=recsys.__version__,
        docs_url=None,  # the pages of documentation would load scripts from outside hosts
        redoc_url=None,
        responses={code: {"model": Problem} for code in (422, 503)},
        exception_handlers={RecsysError: _failed, RequestValidationError: _invalid},
    )
    default = configuration.recommend
    max_bytes = min(UPLOAD_BYTES, configuration.images.max_bytes)
    one_at_a_time = threading.Lock()  # an answer uses every core, and a photo of 200 megapixels takes 600 MB

    def store() -> Store:
        return Store(home, read_only=True)

    async def ruled(
        top: Annotated[int, Query(ge=1, le=100)] = default.top,
        filter: Annotated[int, Query(ge=1, le=1000)] = default.filter,
        visual_weight: Annotated[float, Query(ge=0, le=MAX_WEIGHT)] = default.visual_weight,
        colour_weight: Annotated[float, Query(ge=0, le=MAX_WEIGHT)] = default.colour_weight,
        price_weight: Annotated[float, Query(ge=0, le=MAX_WEIGHT)] = default.price_weight,
    ) -> Configuration:
        """Return the configuration with the rule that a client asks for."""
        weights = {"visual_weight": visual_weight, "colour_weight": colour_weight, "price_weight": price_weight}
        asked = {"top": top, "filter": filter, **weights}
        try:
            rule = Recommend.model_validate({**default.model_dump(), **asked})
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        return configuration.model_copy(update={"recommend": rule})

    async def photo(request: Request, content_type: Annotated[str, Header()] = "") -> bytes:
        """Return the body, read no further than a photo may be large."""
        if not content_type.lower().startswith("image/"):  # which no form of another site's page can send
            told = "send the photo itself as the body, with Content-Type: image/jpeg or alike"
            raise HTTPException(415, told, HANG_UP)
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise HTTPException(413, f"the photo has more than {max_bytes:,} bytes; save it smaller", HANG_UP)
        except ClientDisconnect:
            raise HTTPException(400, "the photo did not come whole") from None
        return bytes(body)

    @service.get("/health")
    async def health() -> State:
        """Say that the process is alive."""
        return State(status="alive")

    @service.get("/ready")
    def ready() -> State:
        """Say that there are recommendations to serve."""
        if not store().count(serving(home, configuration).recommendations):
            raise HTTPException(503, "the store holds no recommendations yet; run 'recsys run' to the end")
        return State(status="ready")

    @service.get("/products/{product_id:path}/similar", responses={404: {"model": Problem}})
    def similar_to_product(product_id: ProductId, ruled: Annotated[Configuration, Depends(ruled)]) -> Similar:
        """Recommend products that look like this one, in its colours, at its price level."""
        with one_at_a_time:
            return Similar.of(recommend_product(store(), ruled, product_id))

    @service.post(
        "/similar",
        responses={code: {"model": Problem} for code in (413, 415)},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    def similar_to_photo(
        photo: Annotated[bytes, Depends(photo)], ruled: Annotated[Configuration, Depends(ruled)]
    ) -> Similar:
        """Recommend products of the whole shop that look like this photo, in its colours, at a neutral price level."""
        with one_at_a_time:
            image = square_photo(photo, configuration.images)
            return Similar.of(recommend_image(store(), ruled, image, name="photo"))

    @service.get("/images/{product_id:path}", response_class=Response, responses={404: {"model": Problem}})
    def picture(product_id: ProductId, if_none_match: Annotated[str, Header()] = "") -> Response:
        """Return a product's squared picture as JPEG; 304 where the client has it already."""
        where = f"product_id = {literal(product_id)} AND status = 'ok'"
        rows = store().read("images", ["image_digest", "jpeg"], where).to_pylist()
        if not rows:
            raise HTTPException(404, "there is no picture of such a product")
        etag = f'"{rows[0]["image_digest"]}"'
        headers = {
            "ETag": etag,
            "Cache-Control": f"public, max-age={IMAGE_MAX_AGE_S}",
            "X-Content-Type-Options": "nosniff",
        }
        known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
        if known & {etag, "*"}:
            return Response(status_code=304, headers=headers)
        return Response(rows[0]["jpeg"], media_type="image/jpeg", headers=headers)

    return service


async def _failed(_: Request, error: Exception) -> JSONResponse:
    """Answer an error of ours by its kind; what only the owner can mend goes to the log in full."""
    status, told = next((ERRORS[kind] for kind in ERRORS if isinstance(error, kind)), (500, "this is a defect"))
    if told is not None:
        log.error("%s: %s", type(error).__name__, error)
    return _problem(status, told or str(error))


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Answer an impossible value with its name and what is wrong with it."""
    assert isinstance(error, RequestValidationError)
    told = [f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}".removeprefix(": ") for fault in error.errors()]
    return _problem(422, "; ".join(told))


def _problem(status: int, detail: str) -> JSONResponse:
    return JSONResponse(Problem(detail=" ".join(detail.split())).model_dump(), status)
