"""Image files beside the catalogue: only those of its own folder are read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from recsys.core.configuration import load
from recsys.core.errors import PermanentFetchError
from recsys.ingest.catalogue.intake import take_in
from recsys.ingest.images import ledger
from recsys.ingest.images.files import read_image_file
from recsys.storage.store import Store

NOW = datetime(2026, 1, 5, tzinfo=UTC)
HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 30, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def test_the_images_of_a_folder_beside_the_catalogue_are_fetched(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in (1, 2):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(picture(number))
    rows = [f"{number},Men,Apparel,Topwear,Shirts,Navy,Fall,2011,Casual,Shirt {number}" for number in (1, 2, 3)]
    (tmp_path / "styles.csv").write_text("\n".join([HEADER, *rows]))
    store, configuration = Store(tmp_path / "home"), load(None, {"images": {"processes": 1}}, environ={})
    take_in(store, str(tmp_path / "styles.csv"), configuration, NOW)
    for shard in ledger.missing(store, configuration):
        ledger.fetch_shard(store, shard, configuration)
    images = store.read("images", ["product_id", "status", "cause", "url"]).to_pandas().set_index("product_id")
    assert images["status"].to_dict() == {"1": "ok", "2": "ok", "3": "broken"}
    assert images.loc["3", "cause"] == "no_file"
    assert images.loc["1", "url"] == (tmp_path / "images" / "1.jpg").as_uri()
    assert ledger.missing(store, configuration) == []


@pytest.mark.parametrize("address", ["{}/secret.jpg", "{}/images/../secret.jpg", "{}/images/link.jpg", "/etc/passwd"])
def test_a_file_outside_of_the_folder_is_never_read(tmp_path: Path, address: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "secret.jpg").write_bytes(picture(1))
    (tmp_path / "images" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    url = "file://" + address.format(tmp_path)
    for folder in (str(tmp_path / "images"), ""):
        with pytest.raises(PermanentFetchError) as refused:
            read_image_file(url, folder, 1 << 20)
        assert refused.value.cause == "outside_folder"


def test_a_file_url_in_a_catalogue_is_refused_without_a_configured_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(picture(1))
    (tmp_path / "c.csv").write_text(f"id,name,price,image\n1,Mug,9.90,file://{tmp_path}/secret.jpg\n")
    for folder, status in (("", "broken"), (str(tmp_path), "ok")):
        settings = {"images": {"processes": 1}, "catalogue": {"image_folder": folder}}
        store, configuration = Store(tmp_path / f"home{len(folder)}"), load(None, settings, environ={})
        take_in(store, str(tmp_path / "c.csv"), configuration, NOW)
        for shard in ledger.missing(store, configuration):
            ledger.fetch_shard(store, shard, configuration)
        assert store.read("images", ["status"])["status"].to_pylist() == [status]


def test_a_large_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x" * 100)
    for path, cause in ((tmp_path / "a.jpg", "too_large"), (tmp_path, "no_file"), (tmp_path / "b.jpg", "no_file")):
        with pytest.raises(PermanentFetchError) as refused:
            read_image_file(path.as_uri(), str(tmp_path), 10)
        assert refused.value.cause == cause
