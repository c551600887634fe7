"""The servers of one home: started as child processes, checked until they answer, stopped together.

Prefect's server, a worker that runs deployments, MLflow's server, and the service.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.core.errors import ServerError
from recsys.core.tracking import tracking_uri

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 120
"""Time for a server to answer after its start, seconds."""
STOP_TIMEOUT_S = 10
"""Time for a server to end after a signal, seconds."""
POLL_INTERVAL_S = 0.5
"""Interval between checks whether a server still runs, seconds."""
TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
DELETE_OLD_RUNS = {"PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs"}
"""Makes Prefect's server delete flow runs, with their task runs and events, three months after their end."""

DIE_WITH_PARENT = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG; outside Linux a server may outlive its parent
except (OSError, AttributeError):
    pass
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Script that starts a server so that the kernel ends it when this process is killed."""


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
        name: for people.
        url: its address.
        process: the child process; None for a server that was running already.
        log: the file with its output; None for a server that was running already.
    """

    name: str
    url: str
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None


@dataclass(frozen=True)
class _Command:
    """How a server is started.

    Attributes:
        name: for people; in lower case the name of its log.
        arguments: of the Python interpreter.
        port: on the loopback interface.
        health: path that answers 200 once the server is ready.
        environment: variables besides those of this process.
    """

    name: str
    arguments: Sequence[str]
    port: int
    health: str
    environment: Mapping[str, str]


def prefect_environment(home: Path) -> dict[str, str]:
    """Return the variables that make Prefect keep its data in the home; variables that are already set win."""
    settings = {
        **TELEMETRY_OFF,
        **DELETE_OLD_RUNS,
        "PREFECT_HOME": str((home / "prefect").absolute()),
        "PREFECT_LOCAL_STORAGE_PATH": str((home / "prefect" / "results").absolute()),
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the command prints its own progress
    }
    return {name: os.environ.get(name, value) for name, value in settings.items()}


@contextlib.contextmanager
def prefect_server(
    home: Path, port: int | None = None, meanwhile: Callable[[], object] = lambda: None
) -> Iterator[Server]:
    """Provide a Prefect server for a home, and make this process's Prefect use it.

    The server is the one that PREFECT_API_URL names, else the one that already runs for this home, else one that is
    started here and stopped at the end. Call this before Prefect is imported.

    Args:
        home: the home folder, which holds the server's database.
        port: of a server that is started (default: any free port).
        meanwhile: work to do while the server starts, which takes some 8 s of one core; it may import Prefect.

    Raises:
        ServerError: the named server does not answer, or the new one does not start.
    """

    def use(api_url: str) -> None:
        os.environ["PREFECT_API_URL"] = api_url
        meanwhile()

    os.environ.update(prefect_environment(home))
    if api_url := os.environ.get("PREFECT_API_URL"):
        named = _named_prefect_server(api_url)
        use(api_url)
        yield named
        return
    record = home / "prefect" / "server.json"
    running = _recorded_server(record)
    if running is not None:
        use(f"{running.url}/api")
        yield running
        return
    port = port or free_port()
    url = f"http://{LOOPBACK}:{port}"  # notifications link to a run by it
    command = _Command(
        "Prefect",
        ["-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(port)],
        port,
        "/api/health",
        {"PREFECT_LOGGING_SERVER_LEVEL": "WARNING", "PREFECT_UI_URL": url, "PREFECT_UI_API_URL": f"{url}/api"},
    )

    with _running(command, home, lambda: use(f"{url}/api")) as server:
        record.write_text(json.dumps({"url": server.url}))
        try:
            yield server
        finally:
            record.unlink(missing_ok=True)
            _flush_prefect(server)


def _named_prefect_server(api_url: str) -> Server:
    """Return the server of PREFECT_API_URL.

    Raises:
        ServerError: it does not answer.
    """
    if _answers(f"{api_url}/health"):
        return Server("Prefect", api_url.removesuffix("/api"))
    remedy = "start it, or unset the variable"
    if _answers(f"{api_url.rstrip('/')}/api/health"):
        remedy = f"the server's address ends in /api: {api_url.rstrip('/')}/api"
    raise ServerError(f"no Prefect server answers at PREFECT_API_URL={api_url}; {remedy}")


@contextlib.contextmanager
def mlflow_server(home: Path, port: int | None = None) -> Iterator[Server]:
    """Provide the MLflow UI of a home: the server that MLFLOW_TRACKING_URI names, else one that is started here.

    Raises:
        ServerError: the named server does not answer, or the new one does not start.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith(("http://", "https://")):
        if not _answers(f"{uri.rstrip('/')}/health"):
            raise ServerError(f"no MLflow server answers at MLFLOW_TRACKING_URI={uri}; start it, or unset the variable")
        yield Server("MLflow", uri)
        return
    port = port or free_port()
    (home / "mlflow").mkdir(parents=True, exist_ok=True)
    arguments = [
        *("-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", tracking_uri(home)),
        *("--default-artifact-root", (home / "mlflow" / "artifacts").absolute().as_uri()),
    ]
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # saves seven processes that nothing here uses
    with _running(_Command("MLflow", arguments, port, "/health", environment), home) as server:
        yield server


@contextlib.contextmanager
def worker(home: Path, port: int | None = None, pool: str = "default") -> Iterator[Server]:
    """Run a Prefect worker; a work pool that does not exist is created.

    Args:
        home: the home folder.
        port: of its health check (default: any free port).
        pool: the work pool, of type process.

    Raises:
        ServerError: it does not start.
    """
    port = port or free_port()
    arguments = [
        *("-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"),
        *("--name", f"recsys-{port}", "--install-policy", "never", "--with-healthcheck"),
    ]
    environment = {"PREFECT_WORKER_WEBSERVER_HOST": LOOPBACK, "PREFECT_WORKER_WEBSERVER_PORT": str(port)}
    with _running(_Command("Worker", arguments, port, "/health", environment), home) as server:
        yield server


@contextlib.contextmanager
def service(home: Path, port: int | None = None) -> Iterator[Server]:
    """Run `recsys serve`.

    Raises:
        ServerError: it does not start.
    """
    port = port or free_port()
    arguments = ["-c", "import cli; cli.main()", "serve", "--home", str(home), "--port", str(port)]
    with _running(_Command("Service", arguments, port, "/health", {}), home) as server:
        yield server


def watch(servers: Sequence[Server]) -> None:
    """Wait until one of the servers ends.

    Raises:
        ServerError: one ended; the message has its name, its log and the last line of the log.
    """
    while True:
        for server in servers:
            if server.process is not None and server.process.poll() is not None:
                raise ServerError(
                    f"the {server.name} server ended with code {server.process.returncode}, and the others were "
                    f"stopped; its log is {server.log}: {_last_line(server.log)}"
                )
        time.sleep(POLL_INTERVAL_S)


def _last_line(log: Path | None) -> str:
    lines = log.read_text(errors="replace").split("\n") if log else []
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "empty")


def free_port(preferred: int | None = None) -> int:
    """Return a free port of the loopback interface: the preferred one if it is free."""
    for port in (preferred, 0):
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((LOOPBACK, port))
                return int(probe.getsockname()[1])
    raise ServerError("no free port on the loopback interface")


@contextlib.contextmanager
def _running(command: _Command, home: Path, meanwhile: Callable[[], object] = lambda: None) -> Iterator[Server]:
    """Run a server as a child process until the context ends; its output goes to the home's logs.

    `meanwhile` is called while it starts.
    """
    url = f"http://{LOOPBACK}:{command.port}"
    if free_port(command.port) != command.port:
        raise ServerError(f"port {command.port} for {command.name} is in use; name another one")
    log = home / "logs" / f"{command.name.lower()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", DIE_WITH_PARENT, sys.executable, *command.arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **TELEMETRY_OFF, **command.environment},
            start_new_session=True,  # Ctrl-C reaches only this process, which then stops its servers
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        meanwhile()
        while not _answers(url + command.health):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"the {command.name} server did not start on port {command.port}; its log is {log}")
            time.sleep(0.1)
        yield Server(command.name, url, process, log)
    finally:
        _stop(process)


def _flush_prefect(server: Server) -> None:
    """Send what this process's Prefect still holds, and wait until the server has recorded it.

    Task runs reach the server as events, which it records with a delay; stopped at once, it would lose the last ones.
    """
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for sender in (EventsWorker, APILogWorker):
        sender.drain_all(timeout=STOP_TIMEOUT_S, at_exit=False)
    unfinished = {"task_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "SCHEDULED"]}}}}
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while time.monotonic() < deadline and _count(f"{server.url}/api/task_runs/count", unfinished):
        time.sleep(0.2)


def _count(url: str, query: Mapping[str, Any]) -> int:
    request = urllib.request.Request(url, json.dumps(query).encode(), {"Content-Type": "application/json"})
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=5) as reply:
        return int(json.load(reply))
    return 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a child process and all processes that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
            return


def _recorded_server(record: Path) -> Server | None:
    """Return the Prefect server that a home's record names, if it answers."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        url = json.loads(record.read_text())["url"]
        if _answers(f"{url}/api/health"):
            return Server("Prefect", url)
    return None


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=2) as reply:
        return bool(reply.status == 200)
    return False
