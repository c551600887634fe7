"""Compare a scheduled refresh with the first run: cost, image requests and Prefect's records.

    python benchmarks/refresh.py                                                  # the sample shop's products
    python benchmarks/refresh.py --photos FOLDER --catalogue catalogue.csv        # other rows, and photos of your own

`recsys ui` runs over a new home, with its Prefect server, worker, MLflow and service. The deployment `recommend` takes
the catalogue in; then 200 products of it change (100 prices, 60 new, 20 pictures, 20 removed) and `refresh` meets them
on its schedule, which is set to every minute; then it finds nothing new; the event of the first has `retrain` run. The
host here gives each product a picture of its own, the photos in turn with a comment in their bytes, so that nothing is
saved by products that share one; 7.77 % of the links are 404. Promised, or the exit code is 1:

    the refresh takes under 5 % of the time of the first run, and requests only the 80 new pictures, once each
    a refresh with nothing new takes under 3 s, requests no picture and logs no run to MLflow
    the training is triggered by the event, and its runs in MLflow carry the event's digest
    Prefect has recorded every shard's task run; what it takes beside the tasks is under 5 % of the first run or 15 s
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import measuring
from measuring import out, say, table

from recsys.core import tracking
from recsys.core.configuration import Original
from recsys.core.process import set_up_process
from recsys.lifecycle import refresh_state

PRICES, NEW, PICTURES, REMOVED = 100, 60, 20, 20
WAIT_S = 3_600


class Host(ThreadingHTTPServer):
    """Serve a different picture at each path, and count the requests."""

    daemon_threads, request_queue_size = True, 1_024

    def __init__(self, photo_of: Callable[[str], bytes]) -> None:
        self.asked: Counter[str] = Counter()
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked[self.path] += 1
                if is_broken(self.path):
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                photo, comment = photo_of(self.path), self.path.encode()
                marked = photo[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + photo[2:]
                self.send_response(200)
                self.send_header("Content-Type", "image/jpeg")
                self.send_header("Content-Length", str(len(marked)))
                self.end_headers()
                self.wfile.write(marked)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__((measuring.LOOPBACK, 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{measuring.LOOPBACK}:{self.server_port}"


def is_broken(path: str) -> bool:
    """Return whether the host answers 404 for a path; robots.txt and the like among them."""
    return not path.startswith("/image/") or zlib.crc32(path.encode()[::-1]) / 2**32 < Original.BROKEN_SHARE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", type=Path, metavar="CSV", help="catalogue (default: the sample shop's)")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="folder of JPEGs (default: the sample shop's)")
    parser.add_argument(
        "--shop", type=Path, default=measuring.HERE / ".sample-shop", help="folder of the sample shop, drawn once"
    )
    parser.add_argument("--products", type=int, default=20_000, help="(default: %(default)s)")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="folder for the home (default: temporary)")
    parser.add_argument("--keep", action="store_true", help="keep the servers running until Ctrl-C")
    options = parser.parse_args()
    shop = measuring.shop_of(argparse.Namespace(image_host=None, catalogue=None, shop=options.shop))
    rows, photo_of = _with_photos(options, shop)
    rows = [
        row | {"uniq_id": f"{row['uniq_id']}-{copy}" if copy else row["uniq_id"]}
        for copy, row in itertools.islice(((c, r) for c in itertools.count() for r in rows), options.products + NEW)
    ]
    host = Host(photo_of)
    with measuring.scratch(options) as place:
        catalogue, home = place / "catalogue.csv", place / "home"
        for row in rows:
            row["image"] = json.dumps([f"{host.url}/image/{row['uniq_id']}.jpeg"])
        _write(catalogue, rows[: options.products])
        environment = measuring.settings(argparse.Namespace(timeout_s=10))
        environment |= {"RECSYS_WORKFLOW__RETRAIN_SHARE": str(100 / options.products), "COLUMNS": "200"}
        command = [str(measuring.RECSYS), "ui", "--home", str(home), "--catalogue", str(catalogue)]
        log = (place / "ui.log").open("w")
        servers = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            return _measured(servers, place, home, catalogue, rows, host, options)
        finally:
            servers.terminate()
            servers.wait(60)


def _measured(
    servers: subprocess.Popen[bytes],
    place: Path,
    home: Path,
    catalogue: Path,
    rows: list[dict[str, str]],
    host: Host,
    options: argparse.Namespace,
) -> int:
    _wait(lambda: "Ctrl-C stops" in (place / "ui.log").read_text() or servers.poll() is not None)
    say((place / "ui.log").read_text())
    prefect = Prefect(json.loads((home / "prefect" / "server.json").read_text())["url"] + "/api")

    first = prefect.ended(prefect.start("recommend/recommend"))
    tasks = prefect.tasks(first)
    numbered = (task["name"].rpartition(" ") for task in tasks)  # "images 3/40"
    shards = Counter(stage for stage, _, number in numbered if number.replace("/", "").isdecimal())
    submitted = _submitted(prefect, first)
    covered = _covered(tasks)
    overhead = first["total_run_time"] - covered
    say(f"first run {first['total_run_time']:.1f} s, {len(tasks)} task runs, {overhead:.1f} s without a task at work")

    # 200 products change: prices, pictures, removed ones, new ones
    good = (at for at in range(options.products) if not is_broken(_path(rows[at])))
    kept = [dict(row) for row in rows[: options.products]]
    for row in (kept[at] for at in itertools.islice(good, PRICES)):
        row["discounted_price"] = str(int(float(row["discounted_price"] or 500)) + 100)
    changed = list(itertools.islice(good, PICTURES))
    for at in changed:
        kept[at]["image"] = kept[at]["image"].replace(".jpeg", "-new.jpeg")
    gone = set(itertools.islice(good, REMOVED))
    kept = [row for at, row in enumerate(kept) if at not in gone]
    before = Counter(host.asked)
    _write(catalogue, [*kept, *rows[options.products :]])
    say("200 products changed; waiting for the schedule")
    refresh = prefect.on_schedule("refresh/refresh", "* * * * *", lambda run: run["state"]["message"] != "nothing new")
    asked = Counter(host.asked)
    asked.subtract(before)
    asked = +asked
    wanted = {_path(row) for row in kept if "-new.jpeg" in row["image"]}
    wanted |= {_path(row) for row in rows[options.products :]}
    say(f"refresh {refresh['total_run_time']:.1f} s, {sum(asked.values())} requests; waiting for the training")

    trained = prefect.triggered("train/retrain")
    digest = trained["parameters"].get("catalogue_digest")
    client, refreshes = tracking.experiment(home, refresh_state.REFRESHES)
    told = [run.data.tags.get(tracking.TAG_CATALOGUE) for run in client.search_runs([refreshes])]
    experiments = [each.experiment_id for each in client.search_experiments()]
    tagged = client.search_runs(experiments, f"tags.`{tracking.TAG_FLOW_RUN}` = '{trained['id']}'")
    digests = {run.data.tags.get(tracking.TAG_CATALOGUE) for run in tagged}
    say(f"retrain {trained['total_run_time']:.1f} s, {trained['state']['name']}, {len(tagged)} MLflow runs: {digests}")

    runs, requests = len(client.search_runs(experiments)), sum(host.asked.values())
    nothing = prefect.on_schedule("refresh/refresh", "* * * * *", lambda run: run["state"]["message"] == "nothing new")
    new_runs, new_requests = len(client.search_runs(experiments)) - runs, sum(host.asked.values()) - requests

    seconds = (first, refresh, nothing, trained)
    names = ("first run", "refresh, 200 changed", "refresh, nothing new", "retrain")
    lines = [(name, f"{run['total_run_time']:.1f}") for name, run in zip(names, seconds, strict=True)]
    out.print(table(f"{options.products:,} products", ["", "seconds"], lines, right=["seconds"]))
    for name, run in (("first run", first), ("refresh", refresh)):
        spent = [(t["name"], f"{t['total_run_time']:.2f}") for t in prefect.tasks(run) if t["total_run_time"] > 0.2]
        out.print(table(f"Tasks of the {name}", ["task", "seconds"], spent[-40:], right=["seconds"]))
    share = refresh["total_run_time"] / first["total_run_time"]
    code = measuring.verdict(
        (share < 0.05, f"a refresh takes {share:.1%} of the first run's time"),
        (set(asked) == wanted and set(asked.values()) == {1}, f"it asks for {len(asked)} of {len(wanted)} pictures"),
        (nothing["total_run_time"] < 3, f"nothing new takes {nothing['total_run_time']:.2f} s"),
        (new_requests == new_runs == 0, f"it makes {new_requests} requests and {new_runs} MLflow runs"),
        (bool(tagged) and digests == {digest} and digest in told, f"retrain's runs carry the digest {digest}"),
        (shards == submitted, f"{sum(shards.values())} of {sum(submitted.values())} shards are recorded"),
        (overhead < max(15, first["total_run_time"] * 0.05), f"{overhead:.1f} s beside the tasks"),
    )
    if options.keep:
        say("the servers go on; Ctrl-C stops them")
        servers.wait()
    return code


class Prefect:
    """Query the Prefect server."""

    def __init__(self, api: str) -> None:
        self._client = httpx.Client(base_url=api, timeout=60)

    def _post(self, path: str, **body: Any) -> Any:
        answer = self._client.post(path, json=body)
        while answer.status_code == 503:  # its SQLite database is locked
            time.sleep(0.5)
            answer = self._client.post(path, json=body)
        return answer.raise_for_status().json()

    def deployment(self, name: str) -> dict[str, Any]:
        return dict(self._client.get(f"/deployments/name/{name}").raise_for_status().json())

    def start(self, name: str) -> str:
        return str(self._post(f"/deployments/{self.deployment(name)['id']}/create_flow_run")["id"])

    def run(self, run: str) -> dict[str, Any]:
        return dict(self._client.get(f"/flow_runs/{run}").raise_for_status().json())

    def ended(self, run: str) -> dict[str, Any]:
        """Wait for a flow run, and for its task runs, which the server records in its own time."""
        _wait(lambda: (self.run(run)["state"] or {}).get("type") in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"))
        found = self.run(run)
        if found["state"]["type"] != "COMPLETED":
            say(f"{found['name']} is {found['state']['name']}: {found['state']['message']}")
        time.sleep(5)
        return found

    def tasks(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        """Return all task runs of a flow run, in the order of their starts."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._post(
                "/task_runs/filter",
                flow_runs={"id": {"any_": [run["id"]]}},
                limit=200,
                offset=len(found),
                sort="ID_DESC",
            )
            found += page
            if len(page) < 200:
                return sorted(found, key=lambda task: str(task["start_time"]))

    def artifacts(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        return list(self._post("/artifacts/filter", flow_runs={"id": {"any_": [run["id"]]}}, limit=200))

    def on_schedule(self, name: str, cron: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Set a deployment's schedule going, and return the first of its runs that is as wanted; then rest it."""
        deployment = self.deployment(name)
        (schedule,) = deployment["schedules"]
        path = f"/deployments/{deployment['id']}/schedules/{schedule['id']}"
        since = {run["id"] for run in self._runs(deployment) if run["state_type"] == "COMPLETED"}
        self._client.patch(path, json={"active": True, "schedule": {"cron": cron}}).raise_for_status()
        try:
            while True:
                for run in self._runs(deployment):
                    over = run["state_type"] in ("COMPLETED", "FAILED", "CRASHED")
                    if run["id"] not in since and over and (run["state_type"] != "COMPLETED" or wanted(run)):
                        return self.ended(run["id"])
                time.sleep(0.5)
        finally:
            self._client.patch(path, json={"active": False}).raise_for_status()

    def triggered(self, name: str) -> dict[str, Any]:
        """Wait for the run of a deployment that no schedule has started."""
        deployment = self.deployment(name)
        runs: list[dict[str, Any]] = []

        def there() -> bool:
            runs[:] = [run for run in self._runs(deployment) if not run["auto_scheduled"]]
            return bool(runs)

        _wait(there)
        return self.ended(runs[0]["id"])

    def _runs(self, deployment: dict[str, Any]) -> list[dict[str, Any]]:
        found = self._post("/flow_runs/filter", deployments={"id": {"any_": [deployment["id"]]}}, limit=200)
        return [run for run in found if run["state"]]


def _submitted(prefect: Prefect, run: dict[str, Any]) -> Counter[str]:
    """Return the number of shards that each stage submitted, from its last progress artifact."""
    counts: Counter[str] = Counter()
    for artifact in prefect.artifacts(run):
        stage, _, told = (artifact["description"] or "").partition(": ")
        if artifact["type"] == "progress" and " shards" in told:
            counts[stage] += int(told.split(" shards")[0].split(" of ")[1])
    return counts


def _covered(tasks: list[dict[str, Any]]) -> float:
    """Return the seconds during which at least one task was running."""
    spans = sorted((_seconds(task["start_time"]), _seconds(task["end_time"])) for task in tasks if task["start_time"])
    covered, reached = 0.0, 0.0
    for start, end in spans:
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not until():
        if time.monotonic() > deadline:
            raise SystemExit(f"error: nothing happened for {timedelta(seconds=WAIT_S)}")
        time.sleep(0.5)


def _path(row: dict[str, str]) -> str:
    return "/image/" + str(json.loads(row["image"])[0]).rpartition("/")[2]


def _with_photos(
    options: argparse.Namespace, shop: measuring.Shop
) -> tuple[list[dict[str, str]], Callable[[str], bytes]]:
    """Return the rows, and what gives the photo of a path: the sample shop's own, else one by chance."""
    if (options.catalogue is None) != (options.photos is None):
        raise SystemExit("error: give --photos and --catalogue together")
    if options.catalogue is None:
        products = [product for product in shop.products if product.picture.endswith(".jpg")]
        own = {product.id: (options.shop / "images" / product.picture).read_bytes() for product in products}
        return [dict(product.row) for product in products], lambda path: own[path.split("/")[2][:32].split(".")[0]]
    columns = ("uniq_id", "product_name", "product_category_tree", "discounted_price", "brand")
    with options.catalogue.open(newline="", encoding="utf-8-sig") as file:
        rows = [{column: row[column] for column in columns} for row in csv.DictReader(file)]
    photos = [path.read_bytes() for path in sorted(options.photos.rglob("*.jp*g"))]
    return rows, lambda path: photos[zlib.crc32(path.encode()) % len(photos)]


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)  # atomic: a scheduled run may read the file at any moment


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
