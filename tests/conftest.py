"""What several rooms' tests share: the real catalogues, a real Prefect server, a sample shop and its host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers import TELEMETRY_OFF, prefect_server
from recsys.sample_shop import SampleHost, SampleShop, draw_shop

PRODUCTS = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shared-data", default=os.environ.get("SHARED_DATA"), help="folder of the real catalogues (or SHARED_DATA)"
    )


SLOW = ("tests/flows/", "tests/recsys/classifier/", "tests/recsys/embedding/", "tests/cli/", "tests/end_to_end/")
"""Rooms whose tests take minutes, the slowest first: they begin, so that none is left over when all else is done."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((at for at, room in enumerate(SLOW) if item.nodeid.startswith(room)), len(SLOW)))
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
    """No setting of the person who runs the tests, no telemetry."""
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
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prefect server, which this process's Prefect and the commands that tests run talk to."""
    with prefect_server(tmp_path_factory.mktemp("prefect-home")) as server:
        yield server.url


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
