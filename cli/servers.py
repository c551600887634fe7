"""The servers of one home, started as child processes, health-checked, stopped together.

Prefect's, a worker that runs what is deployed there, MLflow's, and the service.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.core.errors import ServerError
from recsys.core.tracking import tracking_uri

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 10
WATCH_S = 0.5
TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
FORGET_OLD_RUNS = {"PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs"}
"""Has Prefect's server drop flow runs, with all that it knows of them, three months after their end."""
DIE_WITH_PARENT = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG; elsewhere than on Linux a server may be left over
except (OSError, AttributeError):
    pass
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Run between this program and a server, so that the kernel ends the server when this program is killed."""


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
        name: of it.
        url: where.
        process: its own; None where it was running already.
        log: what it says.
    """

    name: str
    url: str
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None


def prefect_environment(home: Path) -> dict[str, str]:
    """Return what makes Prefect keep everything in the home; what the user set already is left as it is."""
    wanted = {
        **TELEMETRY_OFF,
        **FORGET_OLD_RUNS,
        "PREFECT_HOME": str((home / "prefect").absolute()),
        "PREFECT_LOCAL_STORAGE_PATH": str((home / "prefect" / "results").absolute()),
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the run tells its own progress
    }
    return {key: os.environ.get(key, value) for key, value in wanted.items()}


@contextlib.contextmanager
def prefect_server(home: Path, port: int | None = None) -> Iterator[Server]:
    """Give a Prefect server for a home, and point this process's Prefect at it.

    It is the one that PREFECT_API_URL names, else the one that runs for this home already, else one started here and
    stopped at the end. Call it before Prefect is imported.

    Args:
        home: the home folder, which holds the server's database.
        port: where to start one (default: any free port).

    Raises:
        ServerError: the named server does not answer, or the new one does not start.
    """
    os.environ.update(prefect_environment(home))
    named = os.environ.get("PREFECT_API_URL")
    if named:
        if not _answers(f"{named}/health"):
            way = "start it, or unset the variable"
            if _answers(f"{named.rstrip('/')}/api/health"):
                way = f"the server's address ends in /api: {named.rstrip('/')}/api"
            raise ServerError(f"no Prefect server answers at PREFECT_API_URL={named}; {way}")
        yield Server("Prefect", named.removesuffix("/api"))
        return
    note = home / "prefect" / "server.json"
    running = _running(note)
    if running is not None:
        os.environ["PREFECT_API_URL"] = f"{running.url}/api"
        yield running
        return
    port = port or free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(port)]
    url = f"http://{LOOPBACK}:{port}"  # also what notifications say where a run is
    environment = {"PREFECT_LOGGING_SERVER_LEVEL": "WARNING", "PREFECT_UI_URL": url, "PREFECT_UI_API_URL": f"{url}/api"}
    with _process("Prefect", command, port, home, "/api/health", environment) as server:
        note.write_text(json.dumps({"url": server.url}))
        os.environ["PREFECT_API_URL"] = f"{server.url}/api"
        try:
            yield server
        finally:
            note.unlink(missing_ok=True)
            _tell_all(server)


@contextlib.contextmanager
def mlflow_server(home: Path, port: int | None = None) -> Iterator[Server]:
    """Give the MLflow UI over a home's runs: of the server that MLFLOW_TRACKING_URI names, else of one started here.

    Raises:
        ServerError: the named server does not answer, or the new one does not start.
    """
    named = os.environ.get("MLFLOW_TRACKING_URI", "")
    if named.startswith(("http://", "https://")):
        if not _answers(f"{named.rstrip('/')}/health"):
            raise ServerError(
                f"no MLflow server answers at MLFLOW_TRACKING_URI={named}; start it, or unset the variable"
            )
        yield Server("MLflow", named)
        return
    port = port or free_port()
    (home / "mlflow").mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", tracking_uri(home)),
        *("--default-artifact-root", (home / "mlflow" / "artifacts").absolute().as_uri()),
    ]
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # seven processes for what is not used here
    with _process("MLflow", command, port, home, "/health", environment) as server:
        yield server


@contextlib.contextmanager
def worker(home: Path, port: int | None = None, pool: str = "default") -> Iterator[Server]:
    """Run what is deployed to a work pool, which is made where there is none, while the context lasts.

    Args:
        home: the home folder.
        port: where it says whether it is well (default: any free port).
        pool: of type process.

    Raises:
        ServerError: it does not start.
    """
    port = port or free_port()
    command = [
        *(sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"),
        *("--name", f"recsys-{port}", "--install-policy", "never", "--with-healthcheck"),
    ]
    environment = {"PREFECT_WORKER_WEBSERVER_HOST": LOOPBACK, "PREFECT_WORKER_WEBSERVER_PORT": str(port)}
    with _process("Worker", command, port, home, "/health", environment) as server:
        yield server


@contextlib.contextmanager
def service(home: Path, port: int | None = None) -> Iterator[Server]:
    """Run `recsys serve` while the context lasts.

    Raises:
        ServerError: it does not start.
    """
    port = port or free_port()
    command = [sys.executable, "-c", "import cli; cli.main()", "serve", "--home", str(home), "--port", str(port)]
    with _process("Service", command, port, home, "/health", {}) as server:
        yield server


def watch(servers: Sequence[Server]) -> None:
    """Wait until one of the servers ends, which it does not by itself.

    Raises:
        ServerError: it says which one, and the last that its log says.
    """
    while True:
        for server in servers:
            if server.process is not None and server.process.poll() is not None:
                raise ServerError(
                    f"the {server.name} server ended with code {server.process.returncode}, and the others were "
                    f"stopped; its log is {server.log}: {_last_line(server.log)}"
                )
        time.sleep(WATCH_S)


def _last_line(log: Path | None) -> str:
    lines = log.read_text(errors="replace").split("\n") if log else []
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "empty")


def free_port(wanted: int | None = None) -> int:
    """Return a port of the loopback interface that nobody listens on: the wanted one where it is free."""
    for port in (wanted, 0):
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((LOOPBACK, port))
                return int(probe.getsockname()[1])
    raise ServerError("no free port on the loopback interface")


@contextlib.contextmanager
def _process(
    name: str, command: list[str], port: int, home: Path, health: str, environment: Mapping[str, str]
) -> Iterator[Server]:
    """Run a server as a child process until the context ends; its output goes to the home's logs."""
    url = f"http://{LOOPBACK}:{port}"
    if free_port(port) != port:
        raise ServerError(f"port {port} for {name} is taken; name another one")
    log = home / "logs" / f"{name.lower()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", DIE_WITH_PARENT, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **TELEMETRY_OFF, **environment},
            start_new_session=True,  # Ctrl-C is for this program, which then stops its servers
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(url + health):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"the {name} server did not start on port {port}; its log is {log}")
            time.sleep(0.1)
        yield Server(name, url, process, log)
    finally:
        _stop(process)


def _tell_all(server: Server) -> None:
    """Have this process's Prefect send what it still holds, and wait until the server has recorded it.

    Task runs reach the server as events, which it records in its own time: stopped at once, it would lose the last.
    """
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (EventsWorker, APILogWorker):
        worker.drain_all(timeout=STOP_TIMEOUT_S, at_exit=False)
    unended = {"task_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "SCHEDULED"]}}}}
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while time.monotonic() < deadline and _count(f"{server.url}/api/task_runs/count", unended):
        time.sleep(0.2)


def _count(url: str, query: Mapping[str, Any]) -> int:
    request = urllib.request.Request(url, json.dumps(query).encode(), {"Content-Type": "application/json"})
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=5) as answer:
        return int(json.load(answer))
    return 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a child and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
            return


def _running(note: Path) -> Server | None:
    """Return the server that a home's note names, if it answers."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        url = json.loads(note.read_text())["url"]
        if _answers(f"{url}/api/health"):
            return Server("Prefect", url)
    return None


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False
