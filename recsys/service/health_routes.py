"""Routes for probes and monitoring: /health, /ready, /metrics."""

from fastapi import APIRouter, HTTPException, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from recsys.models.embedding.serving import serving
from recsys.service import schemas
from recsys.service.dependencies import State
from recsys.storage.store import Store

router = APIRouter()


@router.get("/health")
async def health() -> schemas.State:
    """Report that the process is alive."""
    return schemas.State(status="alive")


@router.get("/ready")
def ready(state: State) -> schemas.State:
    """Report that there are recommendations to serve."""
    if not Store(state.home, read_only=True).count(serving(state.home, state.configuration).recommendations):
        raise HTTPException(503, "the store has no recommendations yet; run 'recsys run' until it finishes")
    state.snapshots.current()
    return schemas.State(status="ready")


@router.get("/metrics", response_class=Response)
async def metrics(state: State) -> Response:
    """Return counters and times in Prometheus' text format."""
    if snapshot := state.snapshots.latest:
        state.metrics.snapshot.set(snapshot.number)
        state.metrics.products.set(len(snapshot.gallery))
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
