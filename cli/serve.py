"""`recsys serve`: the shop's page and its HTTP API."""

from typing import Annotated

import typer
from rich.text import Text

from cli.console import out
from cli.options import HomeOption
from recsys.core.configuration import HOME_DEFAULT, load

MOST_CONNECTIONS = 1_000
"""Open connections and requests in progress, at most; above it requests get 503."""


def serve(
    home: HomeOption = HOME_DEFAULT,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port to listen on.")] = 8080,
    log_requests: Annotated[bool, typer.Option("--log-requests", help="Log each request as a line of JSON.")] = False,
) -> None:
    """Serve the page for merchandisers and the HTTP API, until Ctrl-C.

    The page is at /. The API: GET /products/ID/similar, POST /similar (a photo as the body), GET /images/ID, /products,
    /labels, /health, /ready, /metrics; /openapi.json describes it. Limits are in the section [service] of the
    configuration.

    Examples:
        recsys serve --home my-shop
        recsys serve --host 0.0.0.0 --port 80 --log-requests
    """
    import logging

    import uvicorn

    from recsys.service import create_service
    from recsys.service.protocol import HeadersTimeoutProtocol

    service = create_service(home, load(home))
    if log_requests:
        logging.getLogger("recsys.requests").addHandler(logging.StreamHandler())
        logging.getLogger("recsys.requests").setLevel(logging.INFO)
    out.print(Text(f"Listening on http://{host}:{port}; Ctrl-C stops the service"))
    uvicorn.run(
        service,
        host=host,
        port=port,
        http=HeadersTimeoutProtocol,
        limit_concurrency=MOST_CONNECTIONS,
        log_level="warning",
        access_log=False,
        server_header=False,
    )
