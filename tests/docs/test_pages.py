"""The commands of the README and `docs/` work as described on a fresh machine.

Each page is walked from top to bottom, its commands one after another as in one terminal: in an environment of nothing
but a search path and a home directory that is empty, in a folder with what a checkout has, a catalogue and a photo. The
README begins with no shop; the other pages go on with the one that it leaves. Settings are shown as files, and read.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.servers import free_port
from recsys.core.configuration import load
from recsys.models.embedding.serving import models
from recsys.storage.store import Store
from tests.docs.conftest import ELSEWHERE, PAGES, ROOT, SERVERS, Terminal, blocks, commands
from tests.waiting import wait_for

from ..conftest import Receiver

pytestmark = [pytest.mark.server, pytest.mark.slow]

ABOUT_A_SHOP = ("docs/labels.md", "docs/upkeep.md", "docs/colour.md")
WALKED = {"README.md", *ABOUT_A_SHOP, "docs/embedding.md", "docs/operations.md", "docs/production.md"}


@pytest.fixture(scope="module")
def newcomer(terminal: Callable[[], Terminal]) -> Terminal:
    """A terminal in which all commands of the README have run."""
    at = terminal()
    home = at.folder / "my-shop"
    at.environment["RECSYS_HOME"] = home.name
    at.stand_ins["PRODUCT_ID"] = lambda: str(Store(home).read("images", ["product_id"], "status = 'ok'")[0][0])
    at.walk(PAGES["README.md"])
    return at


@pytest.fixture
def settled(newcomer: Terminal, terminal: Callable[[], Terminal]) -> Terminal:
    """A terminal with a shop under each path that the pages use."""
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
    """The Prefect server that the page assumes is started first."""
    port = free_port()
    settled.stand_ins["127.0.0.1:4200"] = f"127.0.0.1:{port}"

    def runs() -> list[tuple[str, str]]:
        url = f"http://127.0.0.1:{port}/api/flow_runs/filter"
        asked = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            found = json.load(answer)
        return [(run["name"], run["state_type"]) for run in found if not run["auto_scheduled"]]

    def ended() -> bool:
        return not {state for _, state in runs()} & {"SCHEDULED", "PENDING", "RUNNING"}

    def wait_for_the_runs() -> None:
        wait_for(ended, 180, pause_s=0.5, message=runs)
        assert [state for _, state in runs()] == ["COMPLETED", "COMPLETED"], runs()

    settled.environment["RECSYS_NOTIFY__WEBHOOK"] = receiver.url
    with settled.serving(f"prefect server start --port {port}", SERVERS["prefect server start"]):
        settled.walk(PAGES["docs/operations.md"], wait_for_the_runs)
    assert receiver.messages


def test_every_page_with_commands_is_tested() -> None:
    assert {name for name, page in PAGES.items() if blocks(page, "bash")} == WALKED
    assert {name for name, page in PAGES.items() if blocks(page, "python")} == {"docs/api.md", "docs/embedding.md"}
    typed = [command for name in WALKED for command in commands(PAGES[name])]
    assert not [words for words in ELSEWHERE if not any(command.startswith(words) for command in typed)]


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_in_the_pages_exists(page: str, tmp_path: Path) -> None:
    for block in blocks(PAGES[page], "toml"):
        (tmp_path / "recsys.toml").write_text(block)
        configuration = load(tmp_path / "recsys.toml", environ={})
        for section, keys in tomllib.loads(block).items():
            assert set(keys) <= set(type(getattr(configuration, section)).model_fields)


def inline(page: Path, program: str) -> list[list[str]]:
    """Return the words of the commands in a page's text that call a program, without its name."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [words.split()[1:] for words in re.findall(rf"`({program}\s[^`]+)`", text)]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_in_a_pages_text_exists(page: str) -> None:
    from cli.app import app

    for words in inline(PAGES[page], "recsys"):
        command: Any = typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert getattr(command, "invoke_without_command", True) or words == ["COMMAND", "--help"], words
        assert not [word for word in words if word.startswith("--") and word not in options], words
    for script, *words in inline(PAGES[page], "python"):
        source = (ROOT / script).read_text(encoding="utf-8") + (ROOT / "benchmarks/measuring.py").read_text("utf-8")
        assert not [word for word in words if word.startswith("--") and f'"{word}"' not in source], (script, words)
