"""The scraping flow on a real Prefect server, with the sample shop's marketplace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from recsys.core.errors import ConfigurationError, ScrapingError
from recsys.ingest.scraping.harvest import outcomes
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from sample_shop import SampleHost, SampleShop
from sample_shop.faults import FAILURES_BEFORE_OK
from sample_shop.marketplace import PRODUCTS, SearchFault
from tests.flows.conftest import recorded
from tests.waiting import wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

LABELS = ("Cameras & Accessories", "Eyewear", "Pet Supplies")
NOTHING = dict.fromkeys(("searches", "found", "kept", "duplicates", "broken"), 0)
Scrape = Callable[..., dict[str, int]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A shop with one product of each label, none with a picture."""
    store = Store(tmp_path / "home")
    for table in ("products", "labels"):
        rows = [{"product_id": label, "label": label} for label in LABELS]
        store.write(table, pa.Table.from_pylist(rows, schema=SCHEMAS[table]))
    return store.home


@pytest.fixture
def scrape(prefect_url: str, home: Path) -> Scrape:
    """Run the flow on that home against a host."""
    from flows.scrape import scrape

    def run(host: SampleHost, labels: list[str] | None = None, retries: int = 1) -> dict[str, int]:
        url = f"{host.url}/s?k={{keyword}}&page={{page}}"
        flags = {
            "scraping": {"url": url, "pages": 1, "delay_s": 0, "retries": 0},
            "images": {"allow_hosts": ["127.0.0.1"]},
            "workflow": {"retries": retries, "retry_delay_s": 0.05},
        }
        return scrape(str(home), labels, flags)

    return run


def market(shop: SampleShop, **faults: SearchFault) -> SampleHost:
    return SampleHost(shop.folder, port=int(shop.base_url.rsplit(":", 1)[1]), searches=faults)


def searched(host: SampleHost) -> Counter[str]:
    """Return the number of searches for each keyword, by its first word."""
    counts: Counter[str] = Counter()
    for target, times in host.marketplace.requests.items():
        if target.startswith("/s?"):
            counts[target.removeprefix("/s?k=").partition("&")[0].partition("%20")[0]] += times
    return counts


def last_tasks(home: Path) -> dict[str, tuple[str, int]]:
    """State and number of attempts of each task of the last flow run on a home, once the server has them all."""

    def tasks() -> dict[str, tuple[str, int]]:
        return {task.name: (task.state_name or "", task.run_count) for task in recorded(home)[0]}

    def ended() -> dict[str, tuple[str, int]] | None:
        found = tasks()
        over = all(state in ("Completed", "Failed") for state, _ in found.values())
        return found if over and "scraping: what was found" in found else None

    return wait_for(ended, pause_s=0.2, message=tasks)


def test_a_captcha_fails_only_its_keyword_and_a_rerun_requests_only_that(
    scrape: Scrape, shop: SampleShop, home: Path
) -> None:
    with market(shop, Eyewear="captcha_then_ok") as host:
        with pytest.raises(ScrapingError, match=r"1 of 3 keywords failed: Eyewear \(blocked\)"):
            scrape(host, retries=FAILURES_BEFORE_OK - 1)
        assert searched(host) == {"Cameras": 1, "Eyewear": FAILURES_BEFORE_OK, "Pet": 1}
        tasks = last_tasks(home)
        assert tasks["scrape: Cameras & Accessories"] == tasks["scrape: Pet Supplies"] == ("Completed", 1)
        assert tasks["scrape: Eyewear"] == ("Failed", FAILURES_BEFORE_OK)
        store = Store(home)
        assert store.count("scraped") == 2 * PRODUCTS

        again = scrape(host)
        assert again == {"searches": 1, "found": PRODUCTS + 1, "kept": PRODUCTS, "duplicates": 1, "broken": 0}
        assert searched(host) == {"Cameras": 1, "Eyewear": FAILURES_BEFORE_OK + 1, "Pet": 1}
        assert store.count("scraped") == 3 * PRODUCTS and store.count("products") == len(LABELS)

        requests_before = dict(host.marketplace.requests)
        versions = [store.version(table) for table in ("scraped", "searches")]
        assert scrape(host) == NOTHING
        assert dict(host.marketplace.requests) == requests_before
        assert [store.version(table) for table in ("scraped", "searches")] == versions


def test_of_twenty_keywords_three_are_blocked_and_prefects_retry_requests_only_those(
    prefect_url: str, shop: SampleShop, home: Path
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import AwaitingRetry

    from flows.scrape import scrape

    keywords = [f"word{number}" for number in range(20)]
    blocked = keywords[3:18:7]
    with market(shop, **dict.fromkeys(blocked, "captcha_then_ok")) as host:
        flags = {
            "scraping": {
                **{"url": f"{host.url}/s?k={{keyword}}&page={{page}}", "pictures": 2},
                **{"pages": 1, "delay_s": 0, "retries": 0},
            },
            "images": {"allow_hosts": ["127.0.0.1"]},
            "workflow": {"retries": FAILURES_BEFORE_OK - 1, "retry_delay_s": 0.05},
        }
        parameters = {"home": str(home), "keywords": {"Eyewear": keywords}, "flags": flags}
        assert scrape(**parameters, return_state=True).is_failed()
        tasks = last_tasks(home)
        failed = sorted(name for name, (state, _) in tasks.items() if state == "Failed" and name.startswith("scrape: "))
        assert failed == sorted(f"scrape: {keyword}" for keyword in blocked)
        assert searched(host) == {word: FAILURES_BEFORE_OK if word in blocked else 1 for word in keywords}

        with get_client(sync_client=True) as client:  # what Retry in the UI does, and a worker then
            (run,) = [flow_run for flow_run in client.read_flow_runs() if flow_run.parameters["home"] == str(home)]
            client.set_flow_run_state(run.id, AwaitingRetry(), force=True)
            again = run_flow(scrape, flow_run=client.read_flow_run(run.id), parameters=parameters)
        assert again["searches"] == len(blocked)
        counts_again = dict.fromkeys(blocked, FAILURES_BEFORE_OK + 1)
        assert searched(host) == dict.fromkeys(keywords, 1) | counts_again


def test_a_failure_that_may_pass_is_retried_within_its_task(scrape: Scrape, shop: SampleShop, home: Path) -> None:
    with market(shop, Eyewear="503_then_ok") as host:
        assert scrape(host, retries=FAILURES_BEFORE_OK)["kept"] == 3 * PRODUCTS
        assert last_tasks(home)["scrape: Eyewear"] == ("Completed", FAILURES_BEFORE_OK + 1)


def test_every_keyword_is_tried_even_when_all_fail(scrape: Scrape, shop: SampleShop, home: Path) -> None:
    with market(shop, **dict.fromkeys(LABELS, "captcha")) as host, pytest.raises(ScrapingError, match="3 of 3"):
        scrape(host, retries=0)
    assert outcomes(Store(home))["cause"].tolist() == ["blocked"] * 3


def test_a_permanent_failure_is_not_retried(scrape: Scrape, shop: SampleShop, home: Path) -> None:
    with market(shop) as host, pytest.raises(ScrapingError, match="http_404"):
        host.url += "/nowhere"
        scrape(host, ["Eyewear"], retries=2)
    assert last_tasks(home)["scrape: Eyewear"] == ("Failed", 1)


def test_labels_can_be_named_and_an_empty_result_is_no_failure(scrape: Scrape, shop: SampleShop) -> None:
    with market(shop, Eyewear="empty") as host:
        assert scrape(host, ["Eyewear"]) == NOTHING | {"searches": 1}
        assert searched(host) == {"Eyewear": 1}
        assert scrape(host, ["Eyewear"]) == NOTHING
        with pytest.raises(ConfigurationError, match="no label 'Eyeware'"):
            scrape(host, ["Eyeware"])


def test_the_outcome_of_each_keyword_is_an_artifact(scrape: Scrape, shop: SampleShop, home: Path) -> None:
    with market(shop, Eyewear="captcha") as host, pytest.raises(ScrapingError):
        scrape(host, retries=0)
    artifact = recorded(home)[1]["scraping"]
    assert '"keyword": "Eyewear", "status": "failed", "cause": "blocked"' in str(artifact.data)
    assert str(artifact.data).count('"status": "ok"') == 2
