"""The route for the page: /. Its style and script are static files under /page."""

from pathlib import Path

from fastapi import APIRouter, Response

PAGE_FOLDER = Path(__file__).parent / "page"

router = APIRouter()


@router.get("/", include_in_schema=False)
def page() -> Response:
    """Return the page."""
    return Response((PAGE_FOLDER / "index.html").read_bytes(), media_type="text/html; charset=utf-8")
