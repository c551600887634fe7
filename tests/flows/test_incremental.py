"""What each kind of change in a catalogue writes: the changed products, and what depends on them."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from recsys.models.embedding.serving import serving
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.outdated import candidates_table
from recsys.storage.store import Store
from sample_shop import SampleHost, SampleShop
from tests.flows.conftest import CONFIGURATION, Ran, running

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("one run of a shop")]

Written = dict[str, Counter[str]]


@contextmanager
def noted() -> Iterator[Written]:
    """Record the keys of the written rows, by kind of table."""
    recorded: Written = {}
    noting = threading.Lock()
    real = Store.write

    def write(self: Store, table: str, rows: pa.Table, **how: Any) -> None:
        with noting:
            recorded.setdefault(table.split("-")[0], Counter()).update(rows[rows.column_names[0]].to_pylist())
        real(self, table, rows, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "write", write)
        yield recorded


def test_each_kind_of_change_writes_what_changed_and_what_depends_on_it(
    ran: Ran, shop: SampleShop, host: SampleHost, tmp_path: Path
) -> None:
    home = shutil.copytree(ran.copy, tmp_path / "home")
    run, store = running(home), Store(home)
    catalogue = pd.read_csv(shop.catalogue, dtype=str, keep_default_na=False)
    frame, _ = load_gallery(store, CONFIGURATION)
    sizes = frame["label"].value_counts()
    label = frame[frame["label"] == sizes.index[0]].sort_values("price")
    alone = set(frame.loc[frame["label"].map(sizes).fillna(1) < 2, "product_id"])  # compared with the whole shop
    together = set(label["product_id"]) | alone
    cheap, dear = label["product_id"].iloc[0], label["product_id"].iloc[-1]
    news = {"products": {dear}, "catalogues": None}

    def refreshed(rows: pd.DataFrame) -> tuple[dict[str, set[str] | None], int]:
        """Run with a catalogue; return what was written, and the number of requested pictures.

        The rankings of the products in `recommendations` are complete, and equal those of ranking all products.
        """
        rows.to_csv(tmp_path / "changed.csv", index=False)
        asked = sum(host.stats().values())
        with noted() as recorded:
            run(tmp_path / "changed.csv", stop_after="recommendations")
        keys = {table: set(written) if table != "catalogues" else None for table, written in recorded.items()}
        assert keys.pop("candidates", set()) == keys.get("recommendations", set())
        for table in ("ranked", "records"):  # the state that was ranked
            keys.pop(table, None)
        return keys, sum(host.stats().values()) - asked

    def having(product: str) -> set[str | None]:
        """Return the products that have a product among their candidates."""
        serves = serving(home, CONFIGURATION)
        rows = store.read(candidates_table(serves), ["product_id", "neighbour_ids"]).to_pylist()
        return {row["product_id"] for row in rows if product in row["neighbour_ids"]}

    def changed(**cells: str) -> pd.DataFrame:
        rows = catalogue.copy()
        rows.loc[rows["uniq_id"] == dear, list(cells)] = list(cells.values())
        return rows

    # a price that moves no level: the product's row and nothing else
    dearer = changed(discounted_price=str(label["price"].iloc[-1] + 1))
    assert refreshed(dearer) == (news, 0)

    # a price that moves levels: the products are re-ranked that have it among their candidates
    had = having(dear)
    written, asked = refreshed(changed(discounted_price="1"))
    assert asked == 0 and written.keys() == {*news, "recommendations"}
    assert {dear} | had <= written["recommendations"] <= together

    # a picture: only it is fetched and processed; the products that have it, or had it, among their candidates
    refreshed(catalogue)
    had = having(dear)
    spare = frame.loc[~frame["product_id"].isin(together), "product_id"].iloc[0]
    picture = catalogue.loc[catalogue["uniq_id"] == spare, "image"].iloc[0]
    written, asked = refreshed(changed(image=f'["{picture.strip(chr(91) + chr(93)).split(chr(34))[1]}"]'))
    assert asked == 1 and written["images"] == written["predictions"] == {dear}
    assert written.keys() <= {*news, "images", "predictions", "recommendations", "labels"}  # whose features are known
    assert {dear} | had | having(dear) <= written["recommendations"] <= together

    # a product that goes: marked, and those that had it are ranked without it
    refreshed(catalogue)
    had = having(dear)
    gone = catalogue[catalogue["uniq_id"] != dear]
    written, asked = refreshed(gone)
    assert asked == 0 and written.keys() == {*news, "recommendations"} and written["products"] == {dear}
    assert had <= written["recommendations"] <= together - {dear} and having(dear) == set()
    assert store.read("products", ["product_id"], f"product_id = '{dear}' AND removed IS NOT NULL").num_rows == 1

    # and returns: with its picture, which is there still
    written, asked = refreshed(catalogue)
    assert asked == 0 and written.keys() == {*news, "recommendations"} and having(dear) == had
    assert {dear} | had <= written["recommendations"]

    # a new one, of which nothing is known but the picture that another has
    new = catalogue[catalogue["uniq_id"] == cheap].assign(uniq_id="new", product_name="A new one")
    written, asked = refreshed(pd.concat([catalogue, new]))
    assert asked == 1 and written["products"] == written["images"] == written["labels"] == {"new"}
    assert {"new"} | having("new") <= written["recommendations"] <= together | {"new"}
    assert refreshed(pd.concat([catalogue, new])) == ({}, 0)
