"""How one host is treated: faster while it answers well, more gently when it objects, with the patience it deserves."""

from __future__ import annotations

import asyncio
import time

import pytest

from recsys.core.configuration import Images
from recsys.ingest.images import hosts
from recsys.ingest.images.fetch import fetch_images
from recsys.ingest.images.hosts import DOWN_AFTER, KNOWN_AFTER, LEAST_PATIENCE_S, START, Host
from recsys.ingest.images.item import Item


def settings(**changes: object) -> Images:
    return Images(allow_hosts=("127.0.0.1",), processes=1, **changes)


def in_loop(work):
    """Run a function of a host inside an event loop, which a host needs."""

    async def run():
        return await work() if asyncio.iscoroutinefunction(work) else work()

    return asyncio.run(run())


def answers(host: Host, number: int, seconds: float = 0.2, code: int = 200) -> None:
    for _ in range(number):
        host.answered(seconds, code, None)


def busy(host: Host) -> None:
    """Have requests wait, since without any the concurrency has no reason to grow."""
    loop = asyncio.get_running_loop()
    host._active = 10_000
    host._waiting.extend((n, n, loop.create_future()) for n in range(5))


def test_concurrency_doubles_while_all_is_well_up_to_its_limit():
    def work():
        host, limits = Host(settings(concurrency_per_host=50)), []
        busy(host)
        for _ in range(5):
            limits.append(host.limit)
            answers(host, int(host.limit) + 1)
        return limits

    assert in_loop(work) == [8, 16, 32, 50, 50]


@pytest.mark.parametrize("code", [429, 503])
def test_a_host_that_objects_is_asked_less_and_then_more_again_but_slowly(code):
    def work():
        host = Host(settings())
        busy(host)
        answers(host, 9), answers(host, 17)  # 32 at once by now
        before = host.limit
        answers(host, 5, code=code)
        after = host.limit
        answers(host, 40)
        return before, after, host.limit

    before, after, later = in_loop(work)
    assert after == pytest.approx(before * 2 / 3) and after < later < before


def test_a_few_urls_that_object_are_not_the_host():
    """One in fifty: the concurrency grows all the same, also when three of them happen to come together."""

    def work():
        host = Host(settings())
        busy(host)
        for number in range(400):
            host.answered(0.2, 503 if number % 50 == 0 else 200, None)
        grown = host.limit
        answers(host, 3, code=429)
        return grown, host.limit

    assert in_loop(work) == (128, 128)


def test_a_tenth_of_hanging_urls_is_not_the_host_either():
    def work():
        host = Host(settings())
        busy(host)
        for number in range(400):
            host.silent() if number % 10 == 0 else answers(host, 1)
        return host.limit, host.patience(0)

    assert in_loop(work) == (128, LEAST_PATIENCE_S)


def test_a_host_most_of_whose_urls_hang_is_asked_less_and_given_more_time():
    def work():
        host = Host(settings())
        busy(host)
        answers(host, 20)
        before = host.limit, host.patience(0)
        for _ in range(200):
            host.silent()
        return before, (host.limit, host.patience(0))

    (limit, patience), (later, more) = in_loop(work)
    assert later < limit and more > patience


def test_patience_is_learned_from_the_host():
    def work():
        host = Host(settings(timeout_s=10))
        unknown = host.patience(0)
        answers(host, KNOWN_AFTER + 50, seconds=0.2)
        quick = [host.patience(n) for n in range(5)]
        answers(host, 200, seconds=3.0)
        return unknown, quick, host.patience(0)

    unknown, quick, slow = in_loop(work)
    assert unknown == 10
    assert quick == [0.5, 1, 2, 4, 8]
    assert 3 <= slow <= 10


def test_of_those_who_wait_the_earliest_batch_comes_first():
    async def work():
        host, order = Host(settings(concurrency_per_host=1)), []

        async def one(batch: int):
            async with host.slot(batch):
                order.append(batch)
                await asyncio.sleep(0.01)

        first = asyncio.create_task(one(0))
        await asyncio.sleep(0)
        await asyncio.gather(first, *(one(batch) for batch in (3, 1, 2, 1)))
        return order

    assert in_loop(work) == [0, 1, 1, 2, 3]


def test_a_slot_is_given_back_also_by_one_who_is_cancelled():
    async def work():
        host = Host(settings(concurrency_per_host=1))

        async def one():
            async with host.slot(0):
                await asyncio.sleep(30)

        tasks = [asyncio.create_task(one()) for _ in range(3)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(1), host.slot(0):
            return True

    assert in_loop(work)


def test_a_request_that_takes_longer_than_usual_lets_another_go_ahead():
    async def work():
        host = Host(settings(concurrency_per_host=1))
        answers(host, 50, seconds=0.02)
        began = time.monotonic()

        async def hanging():
            async with host.slot(0):
                await asyncio.sleep(1)

        hangs = asyncio.create_task(hanging())
        await asyncio.sleep(0.01)
        async with host.slot(0):
            waited = time.monotonic() - began
        await hangs
        return waited, host._active

    waited, active = in_loop(work)
    assert waited < 0.5 and active == 0


def test_a_url_that_was_silent_before_keeps_no_slot_while_it_waits():
    async def work():
        host = Host(settings(concurrency_per_host=1))
        answers(host, KNOWN_AFTER, seconds=5)
        began = time.monotonic()
        async with host.slot(0, silent_before=True):
            await asyncio.sleep(0)  # sent
            async with host.slot(0):
                waited = time.monotonic() - began
        return waited, host._active

    waited, active = in_loop(work)
    assert waited < 0.5 and active == 0


def test_the_pace_is_kept(host):
    began = time.monotonic()
    items = [Item(str(n), (host.url("ok", n),)) for n in range(10)]
    fetch_images(items, settings(rate_per_host=20))
    assert 0.45 <= time.monotonic() - began < 3


def test_a_host_with_a_limit_of_its_own_is_soon_met(host):
    """It answers 429 to all but four at once: everything comes in the end, and most of it without a refusal."""
    items = [Item(str(n), (host.url("429_if_many", n),)) for n in range(400)]
    outcomes = fetch_images(items, settings(attempts=10, backoff_s=0.01))
    assert {outcome.status for outcome in outcomes} == {"ok"}
    refused = sum(outcome.attempts for outcome in outcomes)
    assert refused < 150


def test_a_slow_host_is_given_the_time_that_it_takes(host):
    """It answers in 0.01 s until it is known well, then in 1.5 s: longer than the patience that it has earned."""
    fetch_images([Item(str(n), (host.url("late", n),)) for n in range(30)], settings())
    host.latency = 1.5
    warm = [Item(f"w{n}", (host.url("ok", n),)) for n in range(60)]
    slow = [Item(f"s{n}", (host.url("late", f"s{n}"),)) for n in range(60)]
    outcomes = fetch_images(warm + slow, settings(backoff_s=0.05))
    assert {outcome.status for outcome in outcomes} == {"ok"}


def test_a_host_that_leaves_everything_alone_is_asked_whether_it_lives(host):
    """Every image hangs but the host answers: its URLs are broken. `DOWN_AFTER` of them are enough to ask."""
    items = [Item(str(n), (host.url("hang", n),)) for n in range(DOWN_AFTER + 2)]
    outcomes = fetch_images(items, settings(timeout_s=0.4, backoff_s=0.01))
    assert {(o.status, o.cause, o.attempts) for o in outcomes} == {("broken", "timeout", 3)}
    assert host.requests["/"] >= 1


def test_a_host_that_hangs_as_a_whole_spends_nobodys_budget(monkeypatch):
    """It takes connections and never says a word, as a server that is stopped."""
    import socket

    with socket.create_server(("127.0.0.1", 0), backlog=200) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        items = [Item(str(n), (f"{url}/{n}.jpg",)) for n in range(40)]
        began = time.monotonic()
        outcomes = fetch_images(items, settings(timeout_s=0.5, backoff_s=0.01))
    assert {(o.status, o.cause, o.attempts) for o in outcomes} == {("pending", "host_down", 0)}
    assert time.monotonic() - began < 5


def test_what_is_known_of_a_host_is_shared_by_batches_at_the_same_time(host, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    made = []
    init = Host.__init__
    monkeypatch.setattr(hosts.Host, "__init__", lambda self, s: (made.append(self), init(self, s))[1])
    batches = [[Item(f"{b}-{n}", (host.url("slow", f"{b}-{n}"),)) for n in range(20)] for b in range(3)]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda items: fetch_images(items, settings(concurrency_per_host=START)), batches))
    assert [len(outcomes) for outcomes in results] == [20, 20, 20]
    assert len(made) < 3 and host.most_under_way <= 2 * START
