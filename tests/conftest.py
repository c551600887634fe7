"""Fixtures that tests of several packages use: real catalogues, a Prefect server, a sample shop and its host."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.servers import TELEMETRY_OFF, prefect_server
from recsys.core.process import set_up_process
from sample_shop import SampleHost, SampleShop, draw_shop
from tests.waiting import wait_for

PRODUCTS = 60

set_up_process()
os.environ |= {f"TF_NUM_{kind}_THREADS": "1" for kind in ("INTRAOP", "INTEROP")}  # there are as many workers as cores


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shared-data", default=os.environ.get("SHARED_DATA"), help="folder of the real catalogues (or SHARED_DATA)"
    )


TIERS = ("server", "browser", "slow")
"""Markers of tests that are not in the unit tier, which `make check` runs."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the unit tier, keep each file's tests on one worker, and start the slow tests first."""
    for item in items:
        if not any(item.get_closest_marker(tier) for tier in TIERS):
            item.add_marker("unit")
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.split("::")[0]))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    folder = config.getoption("--shared-data")
    if folder and Path(folder).is_dir():
        os.environ["SHARED_DATA"] = str(Path(folder).resolve())
        return
    reason = pytest.mark.skip(reason="needs the real catalogues: name their folder with --shared-data or SHARED_DATA")
    for item in items:
        if "shared" in item.keywords:
            item.add_marker(reason)


@pytest.fixture(scope="session", autouse=True)
def _a_clean_environment() -> Iterator[None]:
    """Remove the settings of the person who runs the tests, and turn telemetry off."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("RECSYS_", "PREFECT_", "MLFLOW_")):
                patch.delenv(name)
        for name, value in TELEMETRY_OFF.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real catalogues; only for tests marked `shared`."""
    return Path(os.environ["SHARED_DATA"])


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all xdist workers share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Hold a lock among the xdist workers, for set-up that is done once."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def prefect_database(shared_folder: Path) -> Path:
    """An empty Prefect database, copied for each home: its migrations take a quarter of a minute."""
    folder = shared_folder / "prefect-database"
    folder.mkdir(exist_ok=True)
    with exclusive(folder / "lock"):
        if not (folder / "made").exists():
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
            subprocess.run(command, env=os.environ | {"PREFECT_HOME": str(folder)}, check=True, capture_output=True)
            (folder / "made").touch()
    return folder / "prefect.db"


@pytest.fixture(scope="session")
def prefect_url(prefect_database: Path, shared_folder: Path) -> Iterator[str]:
    """The URL of a real Prefect server, used by this process and by the commands that tests run.

    The first worker starts the server for all. Each worker waits at its end until no other one uses it.
    """
    home = shared_folder / "prefect-home"
    (home / "prefect").mkdir(parents=True, exist_ok=True)
    with (home / "users").open("w") as users, ExitStack() as stack:
        with exclusive(home / "lock"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not (home / "prefect" / "prefect.db").exists():
                shutil.copy(prefect_database, home / "prefect")
            server = stack.enter_context(prefect_server(home))
        yield server.url
        fcntl.flock(users, fcntl.LOCK_EX)


@pytest.fixture(scope="session")
def mlflow_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database, created once, since its migrations take seconds."""
    import mlflow

    made = tmp_path_factory.mktemp("mlflow-tables") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{made}").search_experiments()
    return made


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SampleShop:
    """A sample shop on disk."""
    from cli.servers import free_port

    folder = tmp_path_factory.mktemp("shop")
    return draw_shop(folder, PRODUCTS, seed=7, base_url=f"http://127.0.0.1:{free_port()}", processes=1)


@pytest.fixture
def host(shop: SampleShop) -> Iterator[SampleHost]:
    """The sample shop's image host, its counters at zero."""
    with SampleHost(shop.folder, port=int(shop.base_url.rsplit(":", 1)[1])) as running:
        yield running


class Receiver(ThreadingHTTPServer):
    """An HTTP server that stores the JSON messages posted to it."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        messages = self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook?token=s3cret"

    def wait_for(self, words: str) -> dict[str, str]:
        """Return the one message whose body contains `words`."""
        (message,) = wait_for(
            lambda: [message for message in self.messages if words in message["body"]],
            60,
            message=lambda: f"no message has '{words}': {self.messages}",
        )
        return message


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
