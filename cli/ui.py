"""`recsys ui`: all servers of a home."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import out, table
from cli.options import HomeOption
from recsys.core.configuration import HOME_DEFAULT, load

if TYPE_CHECKING:
    from cli.servers import Server
    from recsys.storage.store import Store


def _port(server: str, default: int) -> Any:
    return typer.Option(
        metavar="PORT", min=1, max=65_535, help=f"Port of {server}. \\[default: {default}, or a free port]"
    )


def ui(
    home: HomeOption = HOME_DEFAULT,
    prefect_port: Annotated[int | None, _port("Prefect", 4200)] = None,
    mlflow_port: Annotated[int | None, _port("MLflow", 5000)] = None,
    serve_port: Annotated[int | None, _port("the shop's page", 8080)] = None,
    worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Deploy prefect.yaml and run a worker for its deployments.")
    ] = True,
    schedules: Annotated[
        bool, typer.Option("--schedules/--no-schedules", help="Run the deployments on their schedules.")
    ] = False,
    catalogue: Annotated[
        str | None, typer.Option(help="The catalogue of the deployments. \\[default: the one read last]")
    ] = None,
) -> None:
    """Start all servers of a home until Ctrl-C: Prefect with a worker, MLflow, and the shop's page.

    The deployments of prefect.yaml are created for this home and its catalogue. You start them in the Prefect UI. With
    --schedules they also run by themselves: a refresh every hour, a recommend every night, a training and a recheck
    every week. Notifications of failures (section [notify] of the configuration) are set up too. If one server ends,
    the others are stopped, and the error names it and its log.

    Examples:
        recsys ui --home my-shop
        recsys ui --home my-shop --schedules
        recsys ui --home my-shop --no-worker --serve-port 80
    """
    from cli import servers
    from recsys.storage.store import Store

    configuration, store = load(home), Store(home)
    catalogue = catalogue or _last_catalogue(store)
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        prefect = stack.enter_context(servers.prefect_server(home, prefect_port or servers.free_port(4200)))
        from cli import deployments

        deploying = deployments.start_deploying(home, catalogue) if worker and catalogue else None
        if configuration.notify.channels:
            deployments.set_up_notifications(configuration.notify.channels)
        mlflow = stack.enter_context(servers.mlflow_server(home, mlflow_port or servers.free_port(5000)))
        page = stack.enter_context(servers.service(home, serve_port or servers.free_port(8080)))
        running = [
            (prefect, "runs, failures, retries"),
            (mlflow, "figures and pictures of each run"),
            (page, "the shop's page"),
        ]
        if deploying is not None:
            count = deployments.wait_for_deployments(deploying, home, schedules)
            start = "on their schedules" if schedules else "when you start them (--schedules: by themselves)"
            running.append((stack.enter_context(servers.worker(home)), f"runs {count} deployments {start}"))
        _print_servers(running, home)
        if worker and not catalogue:
            out.print("No worker: no catalogue was read yet; name one with --catalogue.")
        out.print("Ctrl-C stops all of them.")
        servers.watch([server for server, _ in running])


def _print_servers(running: Sequence[tuple[Server, str]], home: Path) -> None:
    from recsys.reporting.publication import report_path

    rows = [(server.name, server.url, purpose) for server, purpose in running]
    if report_path(home).exists():
        rows.append(("Report", report_path(home).absolute().as_uri(), "of the last run"))
    out.print(table("", ["server", "address", ""], rows))


def _last_catalogue(store: Store) -> str | None:
    """Return the catalogue that was read last, as an absolute path or a URL; None if there is none."""
    catalogues = store.read("catalogues", ["source", "read_at"]).sort_by([("read_at", "descending")])
    if not catalogues.num_rows:
        return None
    source = str(catalogues["source"][0])
    return source if "://" in source else str(Path(source).absolute())
