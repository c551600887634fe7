"""The small shop and its service, shared by tests that change neither."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recsys.storage.store import Store
from tests.recsys.service.running_service import Service, fill, serving


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fill(tmp_path_factory.mktemp("service") / "home")


@pytest.fixture(scope="session")
def service(store: Store) -> Iterator[Service]:
    with serving(store.home) as running:
        yield running
