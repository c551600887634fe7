"""The application: middleware, error handlers and routes. It reads the home and never writes to it.

    GET  /                                the page: search, browse, recommendations with sliders, search by photo
    GET  /products?q=&label=&page=        the products that can be recommended
    GET  /products/{product_id}           one product
    GET  /products/{product_id}/similar   its recommendations, by the configured rule or by other weights and filters
    POST /similar                         the same for a photo, the request body: curl --data-binary @shoe.jpg ...
    GET  /images/{product_id}             the squared image of a product
    GET  /labels                          the labels, the currency and the default rule
    GET  /health                          the process is alive
    GET  /ready                           the store has recommendations; otherwise 503 with the reason
    GET  /metrics                         for Prometheus
    GET  /openapi.json                    the description of all this for programs

A failed request gets {"detail": one line}. The status is 401 without the API key; 404 for an unknown product; 408 or
413 for a photo that is too slow or too large; 415 for a body that is not an image; 422 for an invalid parameter or
photo; 429 for too many requests; 503 for too many photos, or for an error that only the owner can fix and that the
log describes. No input of a client becomes a file path. Pages of other sites cannot read the answers unless
`service.allow_origins` names the site.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

import recsys
from recsys.core.configuration import Configuration
from recsys.core.errors import RecsysError
from recsys.service.answers import CachedAnswers
from recsys.service.guard import Guard
from recsys.service.problems import documented, respond_to_error, respond_to_invalid_request
from recsys.service.routes import PAGE_FOLDER, router, similar_router
from recsys.service.state import ServiceState


def create_service(home: Path, configuration: Configuration) -> FastAPI:
    """Return the service of a home as an ASGI application.

    Args:
        home: the home folder; it may be empty, and may change at any time.
        configuration: the default rule, the backbone, and the limits.
    """
    app = FastAPI(
        title="Visual recommender",
        version=recsys.__version__,
        docs_url=None,  # the documentation pages would load scripts from other hosts
        redoc_url=None,
        lifespan=_lifespan,
        responses=documented(401, 422, 429, 503),
        exception_handlers={RecsysError: respond_to_error, RequestValidationError: respond_to_invalid_request},
    )
    app.state.service = state = ServiceState(home, configuration)
    _add_middleware(app, state)
    app.include_router(similar_router(configuration.recommend))  # first: a product id may end with "/similar"
    app.include_router(router)
    app.mount("/page", StaticFiles(directory=PAGE_FOLDER), name="page")
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state: ServiceState = app.state.service
    state.start()
    yield
    state.close()


def _add_middleware(app: FastAPI, state: ServiceState) -> None:
    """Add the middleware, the innermost first."""
    settings = state.configuration.service
    app.add_middleware(CachedAnswers, snapshots=state.snapshots, cache=state.cache)
    if settings.allow_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.allow_origins, allow_headers=["X-API-Key"])
    app.add_middleware(Guard, settings=settings, metrics=state.metrics)
