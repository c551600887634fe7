"""What the README and `docs/` tell people to type does what they say, on a machine that has nothing yet.

Each page is walked from top to bottom, its commands one after another as in one terminal: in an environment of nothing
but a search path and a home directory that is empty, in a folder with what a checkout has, a catalogue and a photo. The
README begins with no shop; the other pages go on with the one that it leaves. Settings are shown as files, and read.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmarks import machines
from cli.servers import TELEMETRY_OFF, free_port
from recsys.configuration import load
from recsys.embedding.serving import models
from recsys.sample_shop import SampleHost, SampleShop
from recsys.store import Store

from .conftest import Receiver

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PAGES = {file.relative_to(ROOT).as_posix(): file for file in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]}
ABOUT_A_SHOP = ("docs/labels.md", "docs/upkeep.md", "docs/colour.md")
WALKED = {"README.md", *ABOUT_A_SHOP, "docs/embedding.md", "docs/operations.md", "docs/production.md"}
CHECKOUT = ("cli", "flows", "tasks", "recsys", "benchmarks", "deploy", "prefect.yaml", "pyproject.toml")

ELSEWHERE = {
    "make ": "installs from a package registry for minutes; what it calls is what is walked here and what runs this",
    "pip install ": "would replace what runs this; the development environment has the same extras",
    "install -m ": "needs a machine of its own with systemd; test_deploy.py has systemd verify the units",
    "cp deploy/": "the same",
    "systemctl ": "the same",
    "CATALOGUE=/data/catalogue.csv docker ": "needs Docker; test_deploy.py checks what the containers are to run",
}
"""The commands that are not run here, and why."""

SERVERS = {
    "recsys ui": "Ctrl-C stops all",
    "recsys serve": "Uvicorn running",
    "prefect server start": "Uvicorn running|Check out the dashboard",
    "prefect worker start": "Worker .* started",
    "mlflow server": "Application startup complete|Uvicorn running",
    "dask scheduler": "Scheduler at",
    "dask worker": "Registered to",
}
"""The commands that run until they are stopped, and what they say once they answer."""

OTHERWISE = {
    "recsys models rollback": (16, "nothing to roll back to"),  # the gate lets no model of so small a shop pass
    "python benchmarks/": (1, "MISSED"),  # what is promised is promised of real photos
}
"""The commands that may end with another exit code than 0, as documented, and what they then say."""

QUICK = {
    "RECSYS_IMAGES__ALLOW_HOSTS": '["127.0.0.1"]',
    "RECSYS_IMAGES__TIMEOUT_S": "1",
    "RECSYS_IMAGES__BACKOFF_S": "0.05",
    "RECSYS_IMAGES__RETRY_AFTER_MAX_S": "0.1",
    "RECSYS_WORKFLOW__RETRY_DELAY_S": "0.1",
    "RECSYS_CLASSIFIER__RECIPE": str(ROOT / "tests/recsys/classifier/quick.toml"),
    "RECSYS_EMBEDDING__RECIPE": str(ROOT / "tests/recsys/embedding/quick.toml"),
    "RECSYS_REPORT__GRIDS": "3",
    "RECSYS_TSNE__ITERATIONS": "250",
    "RECSYS_SCRAPING__PAGES": "1",
    "RECSYS_SCRAPING__DELAY_S": "0",
}
"""A host on this machine, and less patience and less training than a shop has: in the variables of its users."""


def blocks(page: Path, language: str) -> list[str]:
    """Return the blocks of a page that are in a language."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [block for _, named, block in found if named == language]


def commands(page: Path) -> list[str]:
    """Return what a page has one type, command by command."""
    lines = "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip()]


@dataclass
class Terminal:
    """Where a page's commands are typed, one after another.

    Attributes:
        folder: of work.
        environment: what they are given; an `export` among them adds to it.
        stand_ins: what stands for a name of the page that everyone has their own of.
    """

    folder: Path
    environment: dict[str, str]
    stand_ins: dict[str, str | Callable[[], str]] = field(default_factory=dict)

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
                    others.enter_context(self.serving(command, SERVERS[server]))
            if at_end is not None:
                at_end()

    def run(self, command: str) -> None:
        """Run a command to its end, which is to be a good one."""
        kept = self.folder / ".environment"
        script = f"{self.own(command)}\nenv --null > {kept}"
        done = subprocess.run(["bash", "-ec", script], **self.options, capture_output=True, timeout=300)
        told = f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}"
        code, words = next((end for start, end in OTHERWISE.items() if command.startswith(start)), (0, ""))
        assert done.returncode == 0 or (done.returncode == code and words in told), told
        assert "Traceback" not in done.stderr, f"{command}: {done.stderr}"
        if done.returncode:
            return
        lines = (line.partition("=") for line in kept.read_text().split("\0") if line)
        self.environment = {name: value for name, _, value in lines if name not in ("_", "SHLVL", "PWD", "OLDPWD")}

    @contextmanager
    def serving(self, command: str, ready: str) -> Iterator[None]:
        """Run a command, from its answering to the end of the context, where Ctrl-C ends it."""
        log = self.folder / f".{re.sub(r'[^a-z]+', '-', command)[:40]}-{time.monotonic_ns()}.log"
        with log.open("w") as output:
            running = subprocess.Popen(
                ["bash", "-ec", f"exec {self.own(command)}"],
                **self.options,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + 120
            while not re.search(ready, log.read_text()):
                assert running.poll() is None and time.monotonic() < deadline, f"{command}: {log.read_text()}"
                time.sleep(0.1)
            yield
            assert running.poll() is None, f"{command} ended by itself: {log.read_text()}"
        finally:
            os.killpg(running.pid, signal.SIGINT)
            try:
                running.wait(60)
            finally:
                if running.poll() is None:
                    os.killpg(running.pid, signal.SIGKILL)
        assert not command.startswith("recsys") or "Traceback" not in log.read_text(), f"{command}: {log.read_text()}"

    @property
    def options(self) -> dict[str, Any]:
        return {"cwd": self.folder, "env": self.environment, "text": True, "stdin": subprocess.DEVNULL}

    def own(self, command: str) -> str:
        """Return a command with the stand-ins for the names of the page."""
        for name, value in self.stand_ins.items():
            if name in command:
                command = command.replace(name, value if isinstance(value, str) else value())
        return command


@pytest.fixture(scope="module")
def market(shop: SampleShop) -> Iterator[SampleHost]:
    """The host of the catalogue's pictures, which is a marketplace too."""
    with SampleHost(shop.folder, port=int(shop.base_url.rsplit(":", 1)[1])) as host:
        yield host


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory, shop: SampleShop, market: SampleHost) -> Callable[[], Terminal]:
    """Make a terminal in a folder of its own, for someone who has nothing but a checkout, a catalogue and a photo."""

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
        shutil.copy(ROOT / "tests/recsys/embedding/quick.toml", folder / "mine.toml")
        search = f"{market.url}/s?k={{keyword}}&page={{page}}"
        given = {"HOME": str(newcomer), "LANG": "C.UTF-8", "COLUMNS": "100", "RECSYS_SCRAPING__URL": search}
        path = f"{BIN}:/usr/local/bin:/usr/bin:/bin"
        return Terminal(folder, {"PATH": path, **given, **QUICK, **TELEMETRY_OFF})

    return make


@pytest.fixture(scope="module")
def newcomer(terminal: Callable[[], Terminal]) -> Terminal:
    """One who has typed all of the README."""
    at = terminal()
    home = at.folder / "my-shop"
    at.environment["RECSYS_HOME"] = home.name
    at.stand_ins["PRODUCT_ID"] = lambda: str(Store(home).read("images", ["product_id"], "status = 'ok'")[0][0])
    at.walk(PAGES["README.md"])
    return at


@pytest.fixture
def settled(newcomer: Terminal, terminal: Callable[[], Terminal]) -> Terminal:
    """One who has a shop already, in each of the places where the pages have it."""
    at = terminal()
    for name in ("my-shop", "HOME"):
        shutil.copytree(newcomer.folder / "my-shop", at.folder / name, symlinks=True)
    at.stand_ins["/data/"] = f"{at.folder}/"
    return at


def test_the_readme(newcomer: Terminal) -> None:
    written = ("recommendations.csv", "broken.csv", "merge.toml", "review.csv", "my-shop/report/index.html")
    assert not [name for name in written if not (newcomer.folder / name).stat().st_size]
    assert len((newcomer.folder / "recommendations.csv").read_text().splitlines()) > 100
    assert Store(newcomer.folder / "my-shop").count("scraped") > 0


@pytest.mark.parametrize("page", ABOUT_A_SHOP)
def test_a_page_about_a_shop(page: str, settled: Terminal) -> None:
    settled.walk(PAGES[page])


def test_the_page_about_the_embedding(settled: Terminal) -> None:
    home = settled.folder / "HOME"
    settled.stand_ins["VERSION"] = lambda: f"{models(home)[-1].version} --force"  # past the gate, see `OTHERWISE`
    settled.walk(PAGES["docs/embedding.md"])
    settled.run("recsys models promote VERSION --home HOME")
    (code,) = blocks(PAGES["docs/embedding.md"], "python")
    photos = "import numpy\nphotos = numpy.zeros((2, 40, 30, 3), numpy.uint8)\n"
    asked = f"{photos}{code.replace('model.predict', 'vectors = model.predict')}\nassert vectors.shape[0] == 2"
    settled.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{home}/mlflow/mlflow.db"
    (settled.folder / "ask.py").write_text(asked)
    settled.run("python ask.py")


def test_the_page_about_operations(settled: Terminal, receiver: Receiver) -> None:
    """Prefect's own server, which the page takes for granted, runs before."""
    port = free_port()
    settled.stand_ins["127.0.0.1:4200"] = f"127.0.0.1:{port}"

    def runs() -> list[tuple[str, str]]:
        url = f"http://127.0.0.1:{port}/api/flow_runs/filter"
        asked = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            found = json.load(answer)
        return [(run["name"], run["state_type"]) for run in found if not run["auto_scheduled"]]

    def wait_for_the_runs() -> None:
        deadline = time.monotonic() + 180
        while {state for _, state in runs()} & {"SCHEDULED", "PENDING", "RUNNING"}:
            assert time.monotonic() < deadline, runs()
            time.sleep(0.5)
        assert [state for _, state in runs()] == ["COMPLETED", "COMPLETED"], runs()

    settled.environment["RECSYS_NOTIFY__WEBHOOK"] = receiver.url
    with settled.serving(f"prefect server start --port {port}", SERVERS["prefect server start"]):
        settled.walk(PAGES["docs/operations.md"], wait_for_the_runs)
    assert receiver.messages


@pytest.mark.skipif(machines.postgres_programs() is None, reason="needs Debian's postgresql")
def test_the_page_about_production(terminal: Callable[[], Terminal], shop: SampleShop, tmp_path: Path) -> None:
    """Its database and its object store, which are there, run before."""
    page, at, programs = PAGES["docs/production.md"], terminal(), machines.postgres_programs()
    own = {port: str(free_port()) for port in ("4200", "5000", "8786")}
    home = at.folder / "shop"
    at.stand_ins |= {f"10.0.0.1:{port}": f"127.0.0.1:{mine}" for port, mine in own.items()}
    at.stand_ins |= {f"10.0.0.1 --port {port}": f"127.0.0.1 --port {mine}" for port, mine in own.items()}
    at.stand_ins |= {"/srv/shop": str(home), "AWS_REGION=eu-central-1": "AWS_REGION=us-east-1"}
    home.mkdir()
    (home / "recsys.toml").write_text(at.own("".join(blocks(page, "toml"))))
    with (
        machines.postgres(tmp_path / "postgres", ()) as database,
        machines.s3_server("127.0.0.1", tmp_path / "s3") as s3,
    ):
        host, _, port = database.partition("@")[2].partition(":")
        at.stand_ins |= {"shop:PASSWORD@db.internal": database, "https://s3.internal": s3["AWS_ENDPOINT_URL"]}
        at.stand_ins |= {f"{name}=…": f"{name}={s3[name]}" for name in s3} | {"AWS_REGION=…": "AWS_REGION=us-east-1"}
        at.stand_ins["AWS_ENDPOINT_URL=…"] = f"AWS_ENDPOINT_URL={s3['AWS_ENDPOINT_URL']}"
        at.environment |= {"PGHOST": host, "PGPORT": port, "PGUSER": "shop", "AWS_ALLOW_HTTP": "true"}
        at.environment["PATH"] += f":{programs}"
        at.environment["PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK"] = "remote-file-system/shop"

        def look() -> None:
            at.run(f"recsys status --home {tmp_path / 'another-machine'}")
            at.run("test $(psql -At prefect -c 'select count(*) from task_run') -gt 1")
            at.run("test $(psql -At mlflow -c 'select count(*) from runs') -gt 0")

        at.walk(page, look)
    assert not (home / "store").exists()


WALKED = {
    "README.md",
    *(f"docs/{name}.md" for name in ["labels", "upkeep", "colour", "embedding", "operations", "production"]),
}


def test_no_page_with_commands_is_left_out() -> None:
    assert {name for name, page in PAGES.items() if blocks(page, "bash")} == WALKED
    assert {name for name, page in PAGES.items() if blocks(page, "python")} == {"docs/embedding.md"}
    typed = [command for name in WALKED for command in commands(PAGES[name])]
    assert not [words for words in ELSEWHERE if not any(command.startswith(words) for command in typed)]


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_are_shown_are_settings(page: str, tmp_path: Path) -> None:
    for block in blocks(PAGES[page], "toml"):
        (tmp_path / "recsys.toml").write_text(block)
        told = load(tmp_path / "recsys.toml", environ={})
        for section, keys in tomllib.loads(block).items():
            assert set(keys) <= set(type(getattr(told, section)).model_fields)


def inline(page: Path, program: str) -> list[list[str]]:
    """Return the commands in a page's text that call a program, word by word, without it."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [words.split()[1:] for words in re.findall(rf"`({program}\s[^`]+)`", text)]


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_a_pages_text_are_there_with_their_options(page: str) -> None:
    from cli.app import app

    for words in inline(PAGES[page], "recsys"):
        command: Any = typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert getattr(command, "invoke_without_command", True) or words == ["COMMAND", "--help"], words
        assert not [word for word in words if word.startswith("--") and word not in options], words
    for script, *words in inline(PAGES[page], "python"):
        told = (ROOT / script).read_text(encoding="utf-8") + (ROOT / "benchmarks/measuring.py").read_text("utf-8")
        assert not [word for word in words if word.startswith("--") and f'"{word}"' not in told], (script, words)
