"""What the flows' tests share: a shop that was run to the end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recsys.configuration import load
from recsys.sample_shop import SampleHost, SampleShop

FLAGS: dict[str, Any] = {
    "images": {
        "timeout_s": 1,
        "backoff_s": 0.05,
        "shard_size": 16,
        "retry_after_max_s": 0.1,
        "allow_hosts": ["127.0.0.1"],
    },
    "workflow": {"retries": 1, "retry_delay_s": 0.1},
    "report": {"grids": 4},
    "tsne": {"iterations": 250},
}
CONFIGURATION = load(None, FLAGS, environ={})
Run = Callable[..., dict[str, int]]


def running(home: Path) -> Run:
    from flows.recommend import recommend

    def run(catalogue: Path, stop_after: str = "results", **flags: Any) -> dict[str, int]:
        return recommend(str(home), str(catalogue), FLAGS | flags, stop_after)

    return run


@dataclass
class Ran:
    """A home that a catalogue was taken into, to the end; what each stage did, and what its host was asked for.

    One test goes on in the home itself, the others in copies of its copy.
    """

    home: Path
    copy: Path
    done: dict[str, int]
    asked: int


@pytest.fixture(scope="session")
def ran(prefect_url: str, shop: SampleShop, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run of a minute, trainings included, that several tests begin with."""
    home = tmp_path_factory.mktemp("ran") / "home"
    with SampleHost(shop.folder, port=int(shop.base_url.rsplit(":", 1)[1])) as host:
        done = running(home)(shop.catalogue)
        asked = sum(host.stats().values())
    return Ran(home, shutil.copytree(home, home.with_name("copy")), done, asked)
