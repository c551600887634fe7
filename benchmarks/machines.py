"""Simulate several machines: workers in network namespaces with own addresses and files, and production servers.

Used by `scale_out.py` and by the tests. Linux only; creating a namespace requires root. The servers listen only on the
loopback interface and on the bridge of the namespaces.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 120
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_REGION": "us-east-1"}
BUCKET = "shop"


def lacking() -> str | None:
    """Return why network namespaces cannot be created; None if they can."""
    if shutil.which("ip") is None:
        return "needs the command ip (iproute2)"
    name = f"probe{os.getpid()}"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"network namespaces may not be made here: {done.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=False)
    return None


def postgres_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, as in Debian's package; None if it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@dataclass
class Network:
    """Describe a bridge with this machine's address, and its namespaces."""

    address: str
    namespaces: list[str] = field(default_factory=list)


@contextlib.contextmanager
def network(machines: int) -> Iterator[Network]:
    """Create this number of machines; they can reach only this machine, by its address."""
    number = os.getpid() % 250 + 1
    bridge, made = f"rb{number}", Network(f"10.213.{number}.1")
    with ExitStack() as undo:
        _ip("link", "add", bridge, "type", "bridge")
        undo.callback(_ip, "link", "del", bridge)
        _ip("addr", "add", f"{made.address}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for machine in range(1, machines + 1):
            name, here, there = f"rn{number}-{machine}", f"rv{number}-{machine}", f"rw{number}-{machine}"
            _ip("netns", "add", name)
            undo.callback(_ip, "netns", "del", name)
            _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
            _ip("link", "set", here, "master", bridge, "up")
            _ip("-n", name, "addr", "add", f"10.213.{number}.{10 + machine}/24", "dev", there)
            _ip("-n", name, "link", "set", there, "up")
            _ip("-n", name, "link", "set", "lo", "up")
            made.namespaces.append(name)
        yield made


@contextlib.contextmanager
def s3_server(address: str, log: Path) -> Iterator[dict[str, str]]:
    """Run an S3 server with one empty bucket; yield the environment variables for it."""
    port = free_port(address)
    url = f"http://{address}:{port}"
    with process([sys.executable, __file__, address, str(port)], log, ready=url):
        urllib.request.urlopen(urllib.request.Request(f"{url}/{BUCKET}", method="PUT"), timeout=10).close()
        yield {"AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", **KEYS}


@contextlib.contextmanager
def postgres(folder: Path, databases: Sequence[str] = ("prefect", "mlflow")) -> Iterator[str]:
    """Run a new PostgreSQL cluster with these databases and without passwords; yield NAME@HOST:PORT."""
    programs = postgres_programs()
    assert programs is not None
    folder.mkdir(parents=True)
    user: dict[str, Any] = {}
    if os.geteuid() == 0:  # it refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        for above in folder.parents:
            if above.stat().st_uid == 0 and not above.stat().st_mode & 1:
                above.chmod(above.stat().st_mode | 0o011)  # so that the server can enter its folder
    data, port = folder / "data", free_port("127.0.0.1")
    initdb = [programs / "initdb", "-D", data, "-U", "shop", "-A", "trust", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **user)
    server = [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"]
    with process(server, folder / "log", stop=signal.SIGINT, cwd=folder, **user):
        ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
        _until(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, "PostgreSQL")
        for database in databases:
            made = [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "shop", database]
            subprocess.run(made, check=True, capture_output=True)
        yield f"shop@127.0.0.1:{port}"


@contextlib.contextmanager
def prefect_server(address: str, home: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run a Prefect server on an address; yield the URL of its API."""
    port = free_port(address)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", address, "--port", str(port)]
    theirs = {**environment, "PREFECT_HOME": str(home)}
    url = f"http://{address}:{port}/api"
    with process(command, home.with_suffix(".log"), env=os.environ | theirs, ready=f"{url}/health"):
        yield url


@contextlib.contextmanager
def mlflow_server(
    address: str, backend: str, artifacts: str, log: Path, environment: Mapping[str, str]
) -> Iterator[str]:
    """Run an MLflow server that stores artifacts in an object store; yield its URL."""
    port = free_port(address)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", address, "--port", str(port), "--workers", "1"),
        *("--allowed-hosts", f"{address}:{port}"),
        *("--backend-store-uri", backend, "--artifacts-destination", artifacts),
    ]
    url = f"http://{address}:{port}"
    theirs = {**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with process(command, log, env=os.environ | theirs, ready=f"{url}/health"):
        yield url


@contextlib.contextmanager
def dask_cluster(
    net: Network, folder: Path, home: Path, environment: Mapping[str, str], *, own_files: bool = True
) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Run a scheduler on this machine and a worker per namespace; yield the scheduler's address and the workers.

    Args:
        net: network of the machines.
        folder: folder for logs.
        home: the workers' home folder; with `own_files` each worker has its own empty one.
        environment: variables of the workers, in addition to this process's.
        own_files: whether each machine has its own file system for the home, as real machines have.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = free_port(net.address)
    address = f"tcp://{net.address}:{port}"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    scheduler = [*dask, "--host", net.address, "--port", str(port), "--no-dashboard"]
    env = os.environ | {"DASK_DISTRIBUTED__ADMIN__LOG_FORMAT": "%(message)s"}
    with process(scheduler, folder / "scheduler.log", env=env), ExitStack() as stack:
        _until(lambda: _listens(net.address, port), "Dask's scheduler")
        workers = []
        for name in net.namespaces:
            worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1"]
            worker += ["--no-dashboard", "--no-nanny", "--local-directory", str(folder / name)]
            command = [*on(name, home if own_files else None), *worker]
            workers.append(stack.enter_context(process(command, folder / f"{name}.log", env=env | dict(environment))))
        yield address, workers


def on(namespace: str, home: Path | None = None) -> list[str]:
    """Return the prefix of a command on a machine; with `home` the command sees an own, empty folder there."""
    inside = f'mount -t tmpfs tmpfs "{home}" && exec "$@"' if home else 'exec "$@"'
    return ["ip", "netns", "exec", namespace, "sh", "-c", inside, "sh"]


def kill(machine: subprocess.Popen[Any]) -> None:
    """Kill a machine immediately, with all its processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(machine.pid, signal.SIGKILL)


@contextlib.contextmanager
def process(
    command: Sequence[Any],
    log: Path,
    *,
    stop: signal.Signals = signal.SIGTERM,
    ready: str | None = None,
    **options: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the context ends; wait first until its address answers."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        running = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **options,
        )
    try:
        if ready is not None:
            _until(lambda: _answers(ready), f"{command[0]} ({log})", running)
        yield running
    finally:
        for number in (stop, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(10)
                break


def free_port(address: str) -> int:
    """Return a free port of the address."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _until(holds: Any, what: str, running: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not holds():
        if time.monotonic() > deadline or (running is not None and running.poll() is not None):
            raise RuntimeError(f"{what} did not start")
        time.sleep(0.1)


def _listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def serve_s3(address: str, port: int) -> None:
    """Run moto's S3 server, which keeps all data in memory. It answers one request at a time, so that conditional puts
    are atomic, as in the real service."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, run_simple

    answer, one = DomainDispatcherApplication(create_backend_app), threading.Lock()

    class Silent(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *_: Any) -> None:
            """Log nothing."""

    def in_turn(environ: Any, start: Any) -> Any:
        with one:
            return answer(environ, start)

    run_simple(address, port, in_turn, request_handler=Silent, threaded=True)


if __name__ == "__main__":
    serve_s3(sys.argv[1], int(sys.argv[2]))
