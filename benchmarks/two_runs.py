"""Start two `recsys run` together on one home, twenty times; the store must never be corrupt or incomplete.

    python benchmarks/two_runs.py               # 80 products, 20 rounds: some five minutes
    python benchmarks/two_runs.py --rounds 3

In each round the catalogue has changed, and two processes are started at the same moment; the first round has no home
yet. One does the work; the other exits with code 5 and names the running process, or runs afterwards. In every
third round one of them is killed (SIGKILL) at a moment drawn by --seed, and a third process, which finds its lock,
must succeed. After the rounds the second process is another command: retry, train, clean. After each round the home is
checked: every table can be read and has each key once, every picture can be decoded, and no stage has anything to do.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measuring
import pandas as pd
from measuring import out, say, table

from cli.servers import LOOPBACK, free_port, prefect_server
from recsys.core.configuration import load
from recsys.core.process import set_up_process
from recsys.ingest.images import ledger as images
from recsys.models import features
from recsys.models.classifier import ledger as predictions
from recsys.models.classifier import registry as classifiers
from recsys.models.embedding import ledger as embeddings
from recsys.models.embedding.serving import serving
from recsys.models.labels import ledger as labels
from recsys.ranking import recommendations
from recsys.storage.schemas import key_of
from recsys.storage.store import Store
from recsys.vision.square import decode_squared
from sample_shop import SampleHost, draw_shop

SETTINGS = {
    "RECSYS_IMAGES__TIMEOUT_S": "1",
    "RECSYS_IMAGES__BACKOFF_S": "0.05",
    "RECSYS_IMAGES__RETRY_AFTER_MAX_S": "0.1",
    "RECSYS_IMAGES__ALLOW_HOSTS": f'["{LOOPBACK}"]',
    "RECSYS_IMAGES__SHARD_SIZE": "16",
}
OTHERS = (["retry", "--broken"], ["train", "classifier"], ["clean"])
DONE, BUSY = 0, 5
LONGEST_S = 12.0
"""Longest time before a process is killed, seconds; a run without training ends in this time."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=80, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=12_345, help="seed of the kills (default: %(default)s)")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-") as scratch:
        folder = Path(scratch)
        base = f"http://{LOOPBACK}:{free_port()}"
        shop = draw_shop(folder / "shop", options.products, seed=7, base_url=base)
        rows = pd.read_csv(shop.catalogue, dtype=str, keep_default_na=False)
        home, catalogue = folder / "home", folder / "catalogue.csv"
        wrong: list[str] = []
        told = []
        with SampleHost(shop.folder, port=int(base.rsplit(":", 1)[1])), prefect_server(folder):
            run = ["run", "--catalogue", str(catalogue), "--stop-after", "recommendations"]
            partners = [run] * options.rounds + list(OTHERS)
            for number, partner in enumerate(partners, 1):
                at = chance.randrange(len(rows))
                rows.loc[at, "discounted_price"] = str(chance.randrange(100, 9_000))
                rows.drop(index=chance.randrange(len(rows))).to_csv(catalogue, index=False)
                pair = [_started(home, run), _started(home, partner)]
                killed = None
                if number % 3 == 0:
                    time.sleep(chance.uniform(0.5, LONGEST_S))
                    killed = next((each for each in pair if each.poll() is None), None)
                    if killed is not None:
                        killed.kill()
                errors = [each.communicate(timeout=600)[1] for each in pair]
                codes = [each.returncode for each in pair]
                last = _started(home, run)
                errors.append(last.communicate(timeout=600)[1])
                found = _unexpected(pair, killed, errors, last.returncode) + _wrong(home)
                wrong += [f"round {number}: {each}" for each in found]
                told.append((partner[0], *map(_ended, codes), "killed" if killed else "", "; ".join(found) or "whole"))
                say(f"round {number}: {told[-1]}")
    counted = collections.Counter(told)
    lines = [(*line, f"{times}") for line, times in sorted(counted.items())]
    columns = ["beside a run", "the run", "the other", "", "the home after", "times"]
    out.print(table(f"{len(told)} rounds", columns, lines, right=["times"]))
    for each in wrong[:20]:
        out.print(f"  {each}")
    return measuring.verdict((not wrong, f"never a corrupt or half-done store ({len(wrong)} defects)"))


def _started(home: Path, words: list[str]) -> subprocess.Popen[str]:
    command = [str(measuring.RECSYS), *words, "--home", str(home)]
    environment = os.environ | SETTINGS
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)


def _ended(code: int) -> str:
    return {DONE: "done", BUSY: "told who runs", -9: "killed"}.get(code, f"exit {code}")


def _unexpected(
    pair: list[subprocess.Popen[str]], killed: subprocess.Popen[str] | None, errors: list[str], last: int
) -> list[str]:
    """Return a description of each unexpected exit."""
    pids = {str(each.pid) for each in pair}
    found = []
    for each, error in zip(pair, errors, strict=False):
        busy = each.returncode == BUSY and "in use by process" in error and any(pid in error for pid in pids)
        if each.returncode != DONE and not busy and each is not killed:
            found.append(f"exit {each.returncode}: {error.strip()[-300:]}")
    if killed is None and all(each.returncode != DONE for each in pair):
        found.append("neither did the work")
    if last != DONE:
        found.append(f"the run after them: exit {last}: {errors[-1].strip()[-300:]}")
    return found


def _wrong(home: Path) -> list[str]:
    """Return the faults of a home after complete runs."""
    store, configuration = Store(home, read_only=True), load(home, environ=SETTINGS)
    found = []
    for name in store.tables():
        keys = store.read(name, list(key_of(name))).to_pylist()
        if len({tuple(row.values()) for row in keys}) != len(keys):
            found.append(f"{name} has a key twice")
    for jpeg in store.read("images", ["jpeg"], "status = 'ok'")["jpeg"].to_pylist():
        decode_squared(jpeg)
    serves, model = serving(home, configuration), classifiers.current_classifier(home)
    left = {
        "images": images.missing(store, configuration),
        "features": features.missing(store, configuration),
        "embeddings": embeddings.missing(store, configuration, serves.model),
        "predictions": predictions.missing(store, configuration, model.version) if model else [],
        "labels": labels.missing(store, configuration, model.filling if model else None),
        "recommendations": recommendations.missing(store, configuration, serves.model),
    }
    return found + [f"{stage} is not done" for stage, shards in left.items() if shards]


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
