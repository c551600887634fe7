"""The commands of README and `docs/`, and a terminal for them on a fresh machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machines
from cli.servers import TELEMETRY_OFF
from sample_shop import SampleHost, SampleShop
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PAGES = {file.relative_to(ROOT).as_posix(): file for file in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]}
CHECKOUT = ("cli", "flows", "tasks", "recsys", "benchmarks", "deploy", "prefect.yaml", "pyproject.toml")

ELSEWHERE = {
    "make ": "installs from a package registry for minutes; what it calls is what is walked here and what runs this",
    "pip install ": "would replace what runs this; the development environment has the same extras",
    "install -m ": "needs a machine of its own with systemd; test_deploy.py has systemd verify the units",
    "cp deploy/": "the same",
    "systemctl ": "the same",
    "CATALOGUE=/data/catalogue.csv docker ": "needs Docker; test_deploy.py checks what the containers are to run",
}
"""Commands that are not run here, and why."""

SERVERS = {
    "recsys ui": "Ctrl-C stops all",
    "recsys serve": "Uvicorn running",
    "prefect server start": "Uvicorn running|Check out the dashboard",
    "prefect worker start": "Worker .* started",
    "mlflow server": "Application startup complete|Uvicorn running",
    "dask scheduler": "Scheduler at",
    "dask worker": "Registered to",
}
"""Commands that run until they are stopped, and what they print once they answer."""

OTHERWISE = {
    "recsys search": (16, "knows no words"),  # the same: the raw backbone serves
    "recsys models rollback": (16, "nothing to roll back to"),  # the gate lets no model of so small a shop pass
    "python benchmarks/": (1, "MISSED"),  # what is promised is promised of real photos
}
"""Commands that may end with another documented exit code than 0, and what they then print."""

QUICK = {
    "RECSYS_IMAGES__ALLOW_HOSTS": '["127.0.0.1"]',
    "RECSYS_IMAGES__TIMEOUT_S": "1",
    "RECSYS_IMAGES__BACKOFF_S": "0.05",
    "RECSYS_IMAGES__RETRY_AFTER_MAX_S": "0.1",
    "RECSYS_WORKFLOW__RETRY_DELAY_S": "0.1",
    "RECSYS_CLASSIFIER__RECIPE": str(ROOT / "tests/recsys/models/classifier/quick.toml"),
    "RECSYS_EMBEDDING__RECIPE": str(ROOT / "tests/recsys/models/embedding/quick.toml"),
    "RECSYS_REPORT__GRIDS": "3",
    "RECSYS_TSNE__ITERATIONS": "250",
    "RECSYS_SCRAPING__PAGES": "1",
    "RECSYS_SCRAPING__DELAY_S": "0",
}
"""Environment of the commands: a host on this machine, short time limits, little training."""


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in a language."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [block for _, named, block in found if named == language]


def commands(page: Path) -> list[str]:
    """Return the commands of a page."""
    lines = "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip()]


@dataclass
class Running:
    """A server that a page starts.

    Attributes:
        command: what was typed.
        process: the server, which leads its process group.
        log: what it says.
        is_killed: it was, on purpose.
    """

    command: str
    process: subprocess.Popen[str]
    log: Path
    is_killed: bool = False

    def kill(self) -> None:
        """Kill it and its child processes."""
        self.is_killed = True
        machines.kill(self.process)


@dataclass
class Terminal:
    """A terminal for the commands of a page.

    Attributes:
        folder: of work.
        environment: what they are given; an `export` among them adds to it.
        stand_ins: what stands for a name of the page that everyone has their own of.
        machines: where a server is typed that runs on others than this one: how a command begins that runs there.
        servers: those that were started, in that order.
    """

    folder: Path
    environment: dict[str, str]
    stand_ins: dict[str, str | Callable[[], str]] = field(default_factory=dict)
    machines: dict[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    servers: list[Running] = field(default_factory=list)

    def walk(self, page: Path, at_end: Callable[[], None] | None = None) -> None:
        """Run all commands of a page.

        A server of the shop's is stopped before the next command; the others have terminals of their own, and run until
        the page ends, and what is to be done at its end.
        """
        with ExitStack() as others:
            for command in commands(page):
                if command.startswith(tuple(ELSEWHERE)):
                    continue
                server = next((name for name in SERVERS if command.startswith(name)), None)
                if server is None:
                    self.run(command)
                elif server.startswith("recsys"):
                    with self.serving(command, SERVERS[server]):
                        pass
                else:
                    for machine in self.machines.get(server, [()]):
                        others.enter_context(self.serving(command, SERVERS[server], machine))
            if at_end is not None:
                at_end()

    def run(self, command: str) -> None:
        """Run a command until it ends, which must be without an error."""
        kept = self.folder / ".environment"
        script = f"{self.own(command)}\nenv --null > {kept}"
        done = subprocess.run(["bash", "-ec", script], **self.options, capture_output=True, timeout=300)
        message = f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}"
        code, words = next((end for start, end in OTHERWISE.items() if command.startswith(start)), (0, ""))
        assert done.returncode == 0 or (done.returncode == code and words in message), message
        assert "Traceback" not in done.stderr, f"{command}: {done.stderr}"
        if done.returncode:
            return
        lines = (line.partition("=") for line in kept.read_text().split("\0") if line)
        self.environment = {name: value for name, _, value in lines if name not in ("_", "SHLVL", "PWD", "OLDPWD")}

    @contextmanager
    def serving(self, command: str, ready: str, machine: Sequence[str] = ()) -> Iterator[None]:
        """Run a command until it answers; the end of the context stops it with Ctrl-C."""
        log = self.folder / f".{re.sub(r'[^a-z]+', '-', command)[:40]}-{time.monotonic_ns()}.log"
        with log.open("w") as output:
            typed = [*machine, "bash", "-ec", f"exec {self.own(command)}"]
            process = subprocess.Popen(typed, **self.options, stdout=output, stderr=output, start_new_session=True)
        server = Running(command, process, log)
        self.servers.append(server)

        def answers() -> bool:
            assert process.poll() is None, f"{command}: {log.read_text()}"
            return re.search(ready, log.read_text()) is not None

        try:
            wait_for(answers, 120, pause_s=0.1, message=lambda: f"{command}: {log.read_text()}")
            yield
            assert server.is_killed or process.poll() is None, f"{command} ended by itself: {log.read_text()}"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(60)
            finally:
                if process.poll() is None:
                    machines.kill(process)
        assert not command.startswith("recsys") or "Traceback" not in log.read_text(), f"{command}: {log.read_text()}"

    @property
    def options(self) -> dict[str, Any]:
        return {"cwd": self.folder, "env": self.environment, "text": True, "stdin": subprocess.DEVNULL}

    def own(self, command: str) -> str:
        """Return a command with the names of the page replaced by those of the test."""
        for name, value in self.stand_ins.items():
            if name in command:
                command = command.replace(name, value if isinstance(value, str) else value())
        return command


@pytest.fixture(scope="module")
def market(shop: SampleShop) -> Iterator[SampleHost]:
    """The host of the catalogue's pictures, which is also the marketplace."""
    with SampleHost(shop.folder, port=int(shop.base_url.rsplit(":", 1)[1])) as host:
        yield host


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory, shop: SampleShop, market: SampleHost) -> Callable[[], Terminal]:
    """Create a terminal in a new folder with a checkout, a catalogue and a photo."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background; what is typed would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def make() -> Terminal:
        place = tmp_path_factory.mktemp("docs")
        folder, newcomer = place / "checkout", place / "newcomer"
        newcomer.mkdir()
        folder.mkdir()
        for name in CHECKOUT:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            else:
                shutil.copy(ROOT / name, folder)
        (folder / ".venv").symlink_to(sys.prefix)
        shutil.copy(shop.catalogue, folder / "catalogue.csv")
        shutil.copy(next((shop.folder / "images").glob("*.jpg")), folder / "photo.jpg")
        shutil.copy(ROOT / "tests/recsys/models/embedding/quick.toml", folder / "mine.toml")
        search = f"{market.url}/s?k={{keyword}}&page={{page}}"
        given = {"HOME": str(newcomer), "LANG": "C.UTF-8", "COLUMNS": "100", "RECSYS_SCRAPING__URL": search}
        path = f"{BIN}:/usr/local/bin:/usr/bin:/bin"
        return Terminal(folder, {"PATH": path, **given, **QUICK, **TELEMETRY_OFF})

    return make
