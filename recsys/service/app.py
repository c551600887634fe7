"""The service: what the store knows, over HTTP. It reads the home and never writes to it.

    GET  /                                the page: search, browse, recommendations with sliders, a photo of one's own
    GET  /products?q=&label=&page=        the products that can be recommended
    GET  /products/{product_id}           one of them
    GET  /products/{product_id}/similar   its recommendations, by the shop's rule or by weights and filters of one's own
    POST /similar                         the same for a photo, which is the body: curl --data-binary @shoe.jpg ...
    GET  /images/{product_id}             a product's squared picture
    GET  /labels                          the labels, the currency, the rule that holds unless a client asks for another
    GET  /health                          the process is alive
    GET  /ready                           the store holds recommendations; 503 and why while it does not
    GET  /metrics                         for Prometheus
    GET  /openapi.json                    all of this for a program

What fails is answered as {"detail": one line}: 401 without the key, 404 an unknown product, 408 and 413 a photo that
is too slow or too large, 415 a body that is not sent as a picture, 422 a value or a photo that cannot be used, 429 too
many requests, 503 what only its owner can mend, and finds in the log, or too many photos at once. Nothing that a client
sends becomes a path. Other sites' pages cannot read the answers unless `service.allow_origins` names them.
"""

# Annotations are evaluated here, unlike elsewhere: FastAPI looks no name up that only `create_service` knows.

import asyncio
import contextlib
import functools
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

import recsys
from recsys.core.configuration import Configuration, Recommend
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
from recsys.models.embedding.serving import describe, serving
from recsys.ranking.gallery import Queries
from recsys.ranking.single_query import unknown_product_error
from recsys.service.guard import Guard, Metrics
from recsys.service.snapshot import Snapshot, Snapshots
from recsys.storage.store import Store, literal
from recsys.vision.square import square_photo

PAGE = Path(__file__).parent / "page"

UPLOAD_BYTES = 20 << 20
"""Of one photo, unless `images.max_bytes` is less: phones take photos of some 15 MB, and many may come at once."""

MAX_WEIGHT = 1_000.0
"""Of a score: with one far beyond it, float32 would lose the other scores."""

IMAGE_MAX_AGE_S = 300
"""How long a picture is shown before a browser asks whether there is a new one, which costs a 304."""

ANSWERS = 16_384
"""Answers that are kept ready, of a few kilobytes each."""

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
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]
Level = Annotated[float, Query(ge=1, le=4)]
Weight = Annotated[float, Query(ge=0, le=MAX_WEIGHT, allow_inf_nan=False)]

log = logging.getLogger(__name__)


class Problem(BaseModel):
    """Why there is no answer, on one line."""

    detail: str


class State(BaseModel):
    """What a probe asks for."""

    status: Literal["alive", "ready"]


class Product(BaseModel):
    """A product that can be recommended; price level 2.5 says that its price is not known or tells nothing, and
    `in_stock` is null where the catalogue does not say."""

    product_id: str
    name: str | None
    brand: str | None
    label: str | None
    price: float | None
    price_level: float
    in_stock: bool | None


class Details(Product):
    """A product with its place in the shop."""

    category_path: list[str]


class Products(BaseModel):
    """A page of products, in the order of the catalogue."""

    total: int
    page: int
    size: int
    products: list[Product]


class Label(BaseModel):
    """A label and how many products have it."""

    label: str
    products: int


class Rule(BaseModel):
    """What holds unless a client asks for something else."""

    top: int
    filter: int
    visual_weight: float
    colour_weight: float
    price_weight: float


class Shop(BaseModel):
    """What there is to choose from."""

    labels: list[Label]
    unlabelled: int
    products: int
    currency: str
    knows_stock: bool
    model: str
    rule: Rule


class Asked(BaseModel):
    """What recommendations were asked for: a product, or a photo without an id."""

    product_id: str | None
    name: str | None
    label: str | None
    price: float | None
    price_level: float


class Recommendation(Product):
    """A product, with the scores that it was chosen by and the reason in words."""

    rank: int
    visual: float
    colour: float
    price_score: float
    total: float
    why: str


class Similar(BaseModel):
    """What was asked for, and its recommendations, best first."""

    query: Asked
    recommendations: list[Recommendation]


class Wanted(BaseModel):
    """The rule that a client asks for, and what it wants to see."""

    rule: Recommend
    label: str | None = None
    price_level: tuple[float, ...] = ()
    brand_not: tuple[str, ...] = ()
    in_stock: bool = False


SIMILAR = SimpleNamespace(path="/products/{product_id:path}/similar")
"""The route, as the metrics name it."""


class Answers:
    """Answers that are ready, by what was asked of which snapshot; the oldest go first."""

    def __init__(self) -> None:
        self._ready: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()

    def get(self, key: tuple[Any, ...]) -> bytes | None:
        return self._ready.get(key)

    def keep(self, key: tuple[Any, ...], answer: bytes) -> bytes:
        self._ready[key] = answer
        while len(self._ready) > ANSWERS:
            self._ready.popitem(last=False)
        return answer


class Shortcut:
    """Gives recommendations that are ready, which most clients ask for, before anything else looks at the request."""

    def __init__(self, app: ASGIApp, snapshots: Snapshots, answers: Answers) -> None:
        self._app, self._snapshots, self._answers = app, snapshots, answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if answer is None:
            await self._app(scope, receive, send)
        else:
            scope["route"] = SIMILAR
            await Response(answer, media_type="application/json")(scope, receive, send)

    def _answer(self, scope: Scope) -> bytes | None:
        path, asked, now = scope["path"], scope["query_string"], self._snapshots.ready()
        if now is None or not (path.startswith("/products/") and path.endswith("/similar")):
            return None
        product_id = path.removeprefix("/products/").removesuffix("/similar")
        key = (now.number, product_id, asked)
        answer = self._answers.get(key)
        if answer is None and not asked and (row := now.row_of.get(product_id)) is not None:
            found = now.stored_for(row)
            answer = None if found is None else self._answers.keep(key, _similar(now, row, found))
        return answer


def _similar(now: Snapshot, row: int, found: list[dict[str, Any]]) -> bytes:
    """Return the recommendations of the product at a row as the JSON of `Similar`."""
    about = {name: now.products[row][name] for name in Asked.model_fields}
    return orjson.dumps({"query": about, "recommendations": found})


def create_service(home: Path, configuration: Configuration) -> FastAPI:
    """Return the service over a home, for any ASGI server. The home may be empty still, and may change any time.

    Args:
        home: the home folder.
        configuration: the rule that holds unless a client asks for another, the backbone, the limits of a photo.
    """
    default, settings = configuration.recommend, configuration.service
    usual = Wanted(rule=default)
    max_bytes = min(UPLOAD_BYTES, configuration.images.max_bytes)
    snapshots, metrics, answers = Snapshots(home, configuration), Metrics(), Answers()
    one_at_a_time = ThreadPoolExecutor(1, "photo")  # the network uses every core; 200 megapixels take 600 MB
    ranking = ThreadPoolExecutor(os.cpu_count(), "ranking")
    in_work = 0

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=begin, daemon=True).start()
        yield
        snapshots.close()
        for pool in (one_at_a_time, ranking):
            pool.shutdown(wait=False, cancel_futures=True)

    def begin() -> None:
        snapshots.look()
        if settings.warm_up:
            with contextlib.suppress(RecsysError, RuntimeError):
                blank = np.full((1, 256, 256, 3), 255, np.uint8)
                one_at_a_time.submit(describe, blank, home, snapshots.now().serves, configuration).result()
        snapshots.watch()

    service = FastAPI(
        title="Visual recommender",
        version=recsys.__version__,
        docs_url=None,  # the pages of documentation would load scripts from outside hosts
        redoc_url=None,
        lifespan=lifespan,
        responses={code: {"model": Problem} for code in (401, 422, 429, 503)},
        exception_handlers={RecsysError: _failed, RequestValidationError: _invalid},
    )
    service.add_middleware(Shortcut, snapshots=snapshots, answers=answers)
    if settings.allow_origins:
        service.add_middleware(CORSMiddleware, allow_origins=settings.allow_origins, allow_headers=["X-API-Key"])
    service.add_middleware(Guard, settings=settings, metrics=metrics)

    async def snapshot() -> Snapshot:
        now = snapshots.ready()
        return await run_in_threadpool(snapshots.now) if now is None else now

    Now = Annotated[Snapshot, Depends(snapshot)]

    async def wanted(
        top: Annotated[int, Query(ge=1, le=100)] = default.top,
        filter: Annotated[int, Query(ge=1, le=1000)] = default.filter,
        visual_weight: Weight = default.visual_weight,
        colour_weight: Weight = default.colour_weight,
        price_weight: Weight = default.price_weight,
        rule: Literal["default", "original"] = default.rule,
        label: Text | None = None,
        price_level: Annotated[list[Level], Query(max_length=8)] = [],  # noqa: B006  FastAPI copies it
        brand_not: Annotated[list[Text], Query(max_length=50)] = [],  # noqa: B006
        in_stock: bool = False,
    ) -> Wanted:
        """Return the rule that a client asks for; `label`, `price_level`, `brand_not` and `in_stock` (nothing that is
        known to be sold out) say what may be an answer."""
        weights = {"visual_weight": visual_weight, "colour_weight": colour_weight, "price_weight": price_weight}
        asked = {"rule": rule, "top": top, "filter": filter, **weights}
        try:
            ruled = Recommend.model_validate({**default.model_dump(), **asked})
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        return Wanted(
            rule=ruled, label=label, price_level=tuple(price_level), brand_not=tuple(brand_not), in_stock=in_stock
        )

    Asking = Annotated[Wanted, Depends(wanted)]

    async def photo(request: Request, content_type: Annotated[str, Header()] = "") -> bytes:
        """Return the body, read no further than a photo may be large, and no longer than it may take."""
        if not content_type.lower().startswith("image/"):  # which no form of another site's page can send
            told = "send the photo itself as the body, with Content-Type: image/jpeg or alike"
            raise HTTPException(415, told, HANG_UP)
        body = bytearray()
        try:
            async with asyncio.timeout(settings.photo_timeout_s):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > max_bytes:
                        told = f"the photo has more than {max_bytes:,} bytes; save it smaller"
                        raise HTTPException(413, told, HANG_UP)
        except TimeoutError:
            told = f"the photo did not come within {settings.photo_timeout_s:g} s"
            raise HTTPException(408, told, HANG_UP) from None
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
        if not Store(home, read_only=True).count(serving(home, configuration).recommendations):
            raise HTTPException(503, "the store holds no recommendations yet; run 'recsys run' to the end")
        snapshots.now()
        return State(status="ready")

    @service.get("/metrics", response_class=Response)
    async def told_metrics() -> Response:
        """Return counts and times, as Prometheus reads them."""
        if now := snapshots.ready():
            metrics.snapshot.set(now.number)
            metrics.products.set(len(now.gallery))
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @service.get("/labels")
    async def labels(now: Now) -> Shop:
        """Return the labels, the most frequent first, and the rule that holds unless a client asks for another."""
        counts = [Label(label=label, products=len(rows)) for label, rows in now.gallery.rows_by_label.items()]
        return Shop(
            labels=sorted(counts, key=lambda each: (-each.products, each.label)),
            unlabelled=len(now.gallery) - sum(each.products for each in counts),
            products=len(now.gallery),
            currency=configuration.catalogue.currency,
            knows_stock=now.knows_stock,
            model=now.serves.version,
            rule=Rule.model_validate(default.model_dump(include=set(Rule.model_fields))),
        )

    @service.get("/products")
    def products(
        now: Now,
        q: Text = "",
        label: Text | None = None,
        price_level: Level | None = None,
        in_stock: bool = False,
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        size: Annotated[int, Query(ge=1, le=200)] = 24,
    ) -> Products:
        """Return a page of the products whose name, brand or id has all words of `q`, in the catalogue's order."""
        rows = now.found(q, label, price_level, in_stock)
        shown = [Product.model_construct(**now.products[row]) for row in rows[(page - 1) * size : page * size]]
        return Products(total=len(rows), page=page, size=size, products=shown)

    unknown_product: dict[int | str, dict[str, Any]] = {404: {"model": Problem}}

    @service.get("/products/{product_id:path}/similar", responses=unknown_product, response_model=Similar)
    async def similar_to_product(product_id: ProductId, now: Now, asked: Asking, request: Request) -> Response:
        """Recommend products that look like this one, in its colours, at its price level."""
        work = functools.partial(of_product, now, product_id, asked)
        answer = await asyncio.get_running_loop().run_in_executor(ranking, work)
        answers.keep((now.number, product_id, request.scope["query_string"]), answer)
        return Response(answer, media_type="application/json")

    def of_product(now: Snapshot, product_id: str, asked: Wanted) -> bytes:
        row = now.row_of.get(product_id)
        if row is None:
            raise unknown_product_error(now.store, product_id, now.frame)
        found = now.stored_for(row) if asked == usual else None
        if found is None:
            found = recommended(now, Queries.of(now.gallery, np.array([row])), asked)
        return _similar(now, row, found)

    def recommended(now: Snapshot, query: Queries, asked: Wanted) -> list[dict[str, Any]]:
        allowed = now.allowed(asked.label, asked.price_level, asked.brand_not, asked.in_stock)
        return now.similar(query, asked.rule, allowed)

    @service.get("/products/{product_id:path}", responses=unknown_product)
    def product(product_id: ProductId, now: Now) -> Details:
        """Return a product."""
        row = now.row_of.get(product_id)
        if row is None:
            raise unknown_product_error(now.store, product_id, now.frame)
        path = now.frame["category_path"].iloc[row]
        return Details(**now.products[row], category_path=[] if path is None else list(path))

    @service.post(
        "/similar",
        response_model=Similar,
        responses={code: {"model": Problem} for code in (400, 408, 413, 415)},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def similar_to_photo(
        body: Annotated[bytes, Depends(photo)],
        now: Now,
        asked: Asking,
        price: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
    ) -> Response:
        """Recommend products that look like this photo, in its colours; with label and price, at its price level."""
        nonlocal in_work
        if in_work >= settings.photos_at_once:
            raise HTTPException(503, "too many photos at once; ask again in a second", {"Retry-After": "1"})
        in_work += 1
        metrics.photos.set(in_work)
        try:
            work = functools.partial(of_photo, now, body, price, asked)
            answer = await asyncio.get_running_loop().run_in_executor(one_at_a_time, work)
        finally:
            in_work -= 1
            metrics.photos.set(in_work)
        return Response(answer, media_type="application/json")

    def of_photo(now: Snapshot, body: bytes, price: float | None, asked: Wanted) -> bytes:
        image = square_photo(body, configuration.images)
        embeddings, histograms = describe(image[None], home, now.serves, configuration)
        level = now.price_level(price, asked.label)
        query = Queries(
            version=now.serves.version,
            rows=np.array([-1]),
            labels=np.array([asked.label], dtype=object),
            price_levels=np.array([level]),
            embeddings=embeddings,
            histograms=histograms,
        )
        about = {"product_id": None, "name": "photo", "label": asked.label, "price": price, "price_level": level}
        return orjson.dumps({"query": about, "recommendations": recommended(now, query, asked)})

    @service.get("/images/{product_id:path}", response_class=Response, responses=unknown_product)
    def picture(product_id: ProductId, if_none_match: Annotated[str, Header()] = "") -> Response:
        """Return a product's squared picture as JPEG; 304 where the client has it already."""
        where = f"product_id = {literal(product_id)} AND status = 'ok'"
        rows = Store(home, read_only=True).read("images", ["image_digest", "jpeg"], where).to_pylist()
        if not rows:
            raise HTTPException(404, "there is no picture of such a product")
        etag = f'"{rows[0]["image_digest"]}"'
        headers = {"ETag": etag, "Cache-Control": f"public, max-age={IMAGE_MAX_AGE_S}"}
        known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
        if known & {etag, "*"}:
            return Response(status_code=304, headers=headers)
        return Response(rows[0]["jpeg"], media_type="image/jpeg", headers=headers)

    service.mount("/page", StaticFiles(directory=PAGE), name="page")

    @service.get("/", include_in_schema=False)
    def page() -> Response:
        return Response((PAGE / "index.html").read_bytes(), media_type="text/html; charset=utf-8")

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
