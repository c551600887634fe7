"""The rules for one host: more requests while it answers well, fewer when it objects, and a learned patience."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from recsys.core.configuration import Images
from recsys.ingest.images import hosts
from recsys.ingest.images.fetch import fetch_images
from recsys.ingest.images.hosts import DOWN_AFTER, KNOWN_AFTER, LEAST_PATIENCE_S, START, Host
from recsys.ingest.images.item import Item

pytestmark = pytest.mark.server


def settings(**changes: object) -> Images:
    return Images(allow_hosts=("127.0.0.1",), processes=1, **changes)  # type: ignore[arg-type]


def in_event_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run an async test in an event loop."""

    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 20))

    run.__name__ = test.__name__  # type: ignore[attr-defined]
    return run


def answers(host: Host, number: int, seconds: float = 0.2, code: int = 200) -> None:
    for _ in range(number):
        host.answered(seconds, code, None)


@contextlib.asynccontextmanager
async def many_requests(host: Host) -> AsyncIterator[None]:
    """Let more requests wait than the host ever gets at once; without any, the concurrency has no reason to grow."""

    async def hold_slot() -> None:
        async with host.slot(0):
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(hold_slot()) for _ in range(500)]
    await asyncio.sleep(0)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def has_free_slot(host: Host) -> bool:
    try:
        async with asyncio.timeout(0.2), host.slot(0):
            return True
    except TimeoutError:
        return False


@in_event_loop
async def test_concurrency_doubles_while_answers_are_good_up_to_its_limit() -> None:
    host, limits = Host(settings(concurrency_per_host=50)), []
    async with many_requests(host):
        for _ in range(5):
            limits.append(host.limit)
            answers(host, int(host.limit) + 1)
    assert limits == [8, 16, 32, 50, 50]


@pytest.mark.parametrize("code", [429, 503])
def test_a_host_that_objects_gets_fewer_requests_and_then_slowly_more(code: int) -> None:
    @in_event_loop
    async def test() -> None:
        host = Host(settings())
        async with many_requests(host):
            answers(host, 9)
            answers(host, 17)  # 32 at once by now
            before = host.limit
            answers(host, 5, code=code)
            after = host.limit
            answers(host, 40)
        assert after == pytest.approx(before * 2 / 3) and after < host.limit < before

    test()


@in_event_loop
async def test_a_few_urls_that_object_do_not_slow_the_host_down() -> None:
    """One in fifty: the concurrency grows all the same, also when three of them happen to come together."""
    host = Host(settings())
    async with many_requests(host):
        for number in range(400):
            host.answered(0.2, 503 if number % 50 == 0 else 200, None)
        assert host.limit == 128
        answers(host, 3, code=429)
        assert host.limit == 128


@in_event_loop
async def test_a_tenth_of_hanging_urls_does_not_slow_the_host_down() -> None:
    host = Host(settings())
    async with many_requests(host):
        for number in range(400):
            if number % 10 == 0:
                host.silent()
            else:
                answers(host, 1)
    assert (host.limit, host.patience(0)) == (128, LEAST_PATIENCE_S)


@in_event_loop
async def test_a_host_most_of_whose_urls_hang_gets_fewer_requests_and_more_time() -> None:
    host = Host(settings())
    async with many_requests(host):
        answers(host, 20)
        limit, patience = host.limit, host.patience(0)
        for _ in range(200):
            host.silent()
    assert host.limit < limit and host.patience(0) > patience


@in_event_loop
async def test_patience_is_learned_from_the_host() -> None:
    host = Host(settings(timeout_s=10))
    assert host.patience(0) == 10
    answers(host, KNOWN_AFTER + 50, seconds=0.2)
    assert [host.patience(n) for n in range(5)] == [0.5, 1, 2, 4, 8]
    answers(host, 200, seconds=3.0)
    assert 3 <= host.patience(0) <= 10


@in_event_loop
async def test_an_only_attempt_has_the_whole_timeout() -> None:
    host = Host(settings(timeout_s=10, attempts=1))
    answers(host, KNOWN_AFTER + 50, seconds=0.001)
    assert host.patience(0) == 10


@in_event_loop
async def test_of_waiting_requests_those_of_the_earliest_batch_come_first() -> None:
    host, order = Host(settings(concurrency_per_host=1)), []

    async def request(batch: int) -> None:
        async with host.slot(batch):
            order.append(batch)
            await asyncio.sleep(0.01)

    first = asyncio.create_task(request(0))
    await asyncio.sleep(0)
    await asyncio.gather(first, *(request(batch) for batch in (3, 1, 2, 1)))
    assert order == [0, 1, 1, 2, 3]


@in_event_loop
async def test_a_cancelled_request_releases_its_slot() -> None:
    host = Host(settings(concurrency_per_host=1))

    async def request() -> None:
        async with host.slot(0):
            await asyncio.sleep(30)

    tasks = [asyncio.create_task(request()) for _ in range(3)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await has_free_slot(host)


@in_event_loop
async def test_a_request_that_is_admitted_and_cancelled_at_once_releases_its_slot() -> None:
    host = Host(settings(concurrency_per_host=1))

    async def request() -> None:
        async with host.slot(0):
            await asyncio.sleep(30)

    async with host.slot(0):
        waiting = asyncio.create_task(request())
        await asyncio.sleep(0)
    waiting.cancel()  # it has the slot now, and has not run since
    await asyncio.gather(waiting, return_exceptions=True)
    assert await has_free_slot(host)


@in_event_loop
async def test_a_request_that_takes_longer_than_usual_gives_its_slot_to_another() -> None:
    host = Host(settings(concurrency_per_host=1))
    answers(host, 50, seconds=0.02)
    began = time.monotonic()

    async def hanging() -> None:
        async with host.slot(0):
            await asyncio.sleep(1)

    hangs = asyncio.create_task(hanging())
    await asyncio.sleep(0.01)
    async with host.slot(0):
        waited = time.monotonic() - began
    await hangs
    assert waited < 0.5
    assert await has_free_slot(host)


@in_event_loop
async def test_a_url_that_was_silent_before_keeps_no_slot_while_it_waits() -> None:
    host = Host(settings(concurrency_per_host=1))
    answers(host, KNOWN_AFTER, seconds=5)
    began = time.monotonic()
    async with host.slot(0, was_silent=True):
        await asyncio.sleep(0)  # sent
        async with host.slot(0):
            waited = time.monotonic() - began
    assert waited < 0.5
    async with host.slot(0):
        assert not await has_free_slot(host), "a slot that was released early is not released a second time"


def test_the_pace_is_kept(host) -> None:
    began = time.monotonic()
    items = [Item(str(n), (host.url("ok", n),)) for n in range(10)]
    fetch_images(items, settings(rate_per_host=20))
    assert 0.45 <= time.monotonic() - began < 3


def test_a_host_with_a_limit_of_its_own_is_soon_met(host) -> None:
    """It answers 429 to all but four at once: everything comes in the end, and most of it without a refusal."""
    items = [Item(str(n), (host.url("429_if_many", n),)) for n in range(400)]
    outcomes = fetch_images(items, settings(attempts=10, backoff_s=0.01))
    assert {outcome.status for outcome in outcomes} == {"ok"}
    refused = sum(outcome.attempts for outcome in outcomes)
    assert refused < 150


def test_a_slow_host_gets_the_time_that_it_needs(host) -> None:
    """It answers in 0.01 s until it is known well, then in 1.5 s: longer than the patience that was learned."""
    fetch_images([Item(str(n), (host.url("late", n),)) for n in range(30)], settings())
    host.latency = 1.5
    warm = [Item(f"w{n}", (host.url("ok", n),)) for n in range(60)]
    slow = [Item(f"s{n}", (host.url("late", f"s{n}"),)) for n in range(60)]
    outcomes = fetch_images(warm + slow, settings(backoff_s=0.05))
    assert {outcome.status for outcome in outcomes} == {"ok"}


def test_a_host_that_answers_no_image_is_probed(host) -> None:
    """Every image hangs but the host answers: its URLs are broken. `DOWN_AFTER` of them are enough for a probe."""
    items = [Item(str(n), (host.url("hang", n),)) for n in range(DOWN_AFTER + 2)]
    outcomes = fetch_images(items, settings(timeout_s=0.4, backoff_s=0.01))
    assert {(o.status, o.cause, o.attempts) for o in outcomes} == {("broken", "timeout", 3)}
    assert host.requests["/"] >= 1


def test_a_host_that_hangs_as_a_whole_spends_no_budget() -> None:
    """It accepts connections and never answers, as a server that is stopped."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        items = [Item(str(n), (f"{url}/{n}.jpg",)) for n in range(40)]
        began = time.monotonic()
        outcomes = fetch_images(items, settings(timeout_s=0.5, backoff_s=0.01))
    assert {(o.status, o.cause, o.attempts) for o in outcomes} == {("pending", "host_down", 0)}
    assert time.monotonic() - began < 5


def test_batches_at_the_same_time_share_the_state_of_a_host(host, monkeypatch) -> None:
    made = []
    init = Host.__init__

    def counting(self: Host, settings: Images) -> None:
        made.append(self)
        init(self, settings)

    monkeypatch.setattr(hosts.Host, "__init__", counting)
    batches = [[Item(f"{b}-{n}", (host.url("slow", f"{b}-{n}"),)) for n in range(20)] for b in range(3)]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda items: fetch_images(items, settings(concurrency_per_host=START)), batches))
    assert [len(outcomes) for outcomes in results] == [20, 20, 20]
    assert len(made) < 3 and host.most_under_way <= 2 * START
