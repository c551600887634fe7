"""robots.txt by RFC 9309: the rules, the redirects to it, and redirects that are refused."""

from __future__ import annotations

import datetime
import ssl
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from recsys.core.errors import PermanentFetchError, TransientFetchError
from recsys.ingest import http
from recsys.ingest.scraping.marketplace import get_page, open_session, search
from tests.recsys.ingest.scraping.layout import CAPTCHA, EMPTY, card, page, product
from tests.recsys.ingest.scraping.market import Answer, Handler, Marketplace, failure, in_turn, serving, silence, status


@pytest.mark.parametrize(
    "rules",
    [
        "User-agent: *\nDisallow: /",
        "User-agent: *\n\nDisallow: /s",
        "\ufeffUser-agent: *\r\nDisallow: /s?k=*",
        "User-agent: *\nDisallow: *",
        "User-agent: *\nAllow: /\n\nUser-agent: Visual-Recommender\nDisallow: /*",
    ],
)
def test_a_page_that_robots_txt_forbids_is_not_requested(market: Marketplace, rules: str) -> None:
    market.robots = rules
    error = failure(market)
    assert isinstance(error, PermanentFetchError)
    assert error.cause == "robots"
    assert market.paths == ["/robots.txt"]


@pytest.mark.parametrize(
    "robots",
    [
        status(404),
        status(403),
        "",
        "User-agent: *\nDisallow: /gp/*\nDisallow: /s?k=*&rh=n*p_\n\nUser-agent: OtherBot\nDisallow: /",
        "<html>what is this</html>",
        in_turn(status(301, Location="/robots.txt?1"), status(200, "User-agent: *\nDisallow: /gp")),
    ],
)
def test_a_page_that_robots_txt_does_not_forbid_is_allowed(market: Marketplace, robots: str | Answer) -> None:
    market.robots = robots
    market.pages = [page(card(product(1))), EMPTY]
    assert len(search("watch", market.settings)) == 1


@pytest.mark.parametrize("robots", [status(500), status(503), status(429), silence, status(200, CAPTCHA)])
def test_while_robots_txt_fails_everything_is_forbidden(market: Marketplace, robots: Answer) -> None:
    market.robots = robots
    error = failure(market)
    assert isinstance(error, TransientFetchError)
    assert "/robots.txt" in str(error)
    assert set(market.paths) == {"/robots.txt"}


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "http://[", "http://u:p@127.0.0.1/", "/robots.txt", "gopher://127.0.0.1/"]
)
def test_a_redirect_of_robots_txt_to_no_http_address_ends_the_search(market: Marketplace, target: str) -> None:
    market.robots = status(302, Location=target)
    assert failure(market).cause == "http_302"


def test_a_crawl_delay_is_kept_up_to_the_limit(market: Marketplace) -> None:
    market.robots = "User-agent: *\nCrawl-delay: 3600"
    market.pages = [page(card(product(1))), EMPTY]
    start = time.monotonic()
    search("watch", market.settings.model_copy(update={"wait_max_s": 0.4}))
    assert 0.4 <= time.monotonic() - start < 3


# --- rules ---


@pytest.mark.parametrize(
    "rules",
    [
        "User-agent: *\nDisallow: /*k=",
        "User-agent: *\nDisallow: /s?k=*&page=1$",
        "User-agent: *\nAllow: /\nDisallow: /s",
        "User-agent: *\nDisallow: /s?k=watch\nAllow: /s",
        "User-agent: OtherBot\nUser-agent: visual-recommender\n\nDisallow: /s",
        "User-agent: OtherBot\nAllow: /\n\nUser-agent: *\nCrawl-delay: 0\n\nDisallow: /",
    ],
)
def test_the_longest_matching_rule_decides(market: Marketplace, rules: str) -> None:
    market.robots = rules
    assert failure(market).cause == "robots"


@pytest.mark.parametrize(
    "rules",
    [
        "User-agent: *\nDisallow: /\nAllow: /s?k=",
        "User-agent: *\nDisallow: /s$",
        "User-agent: *\nDisallow: /*.php$",
        "User-agent: *\nDisallow: /s?k=*&page=1$\nAllow: /s?k=watch&page=1",
        "User-agent: *\nDisallow: /\n\nUser-agent: visual-recommender\nAllow: /",
        "User-agent: catalogue\nDisallow: /",  # a word of the user agent's comment is not its name
    ],
)
def test_a_longer_allow_and_the_group_of_this_program_come_before_a_disallow(market: Marketplace, rules: str) -> None:
    market.robots = rules
    market.pages = [page(card(product(1))), EMPTY]
    assert len(search("watch", market.settings)) == 1


# --- redirects ---


def test_a_redirect_within_the_marketplace_is_followed(market: Marketplace) -> None:
    market.robots = in_turn(
        status(302, Location=f"{market.url}/robots.txt?2"), status(200, "User-agent: *\nDisallow: /s")
    )
    assert failure(market).cause == "robots"
    assert market.paths == ["/robots.txt", "/robots.txt?2"]


@pytest.mark.parametrize("target", ["169.254.169.254", "127.0.0.1", "[::1]", "10.0.0.1", "localhost", "2130706433"])
def test_a_redirect_to_another_port_or_host_of_a_private_network_is_refused(
    market: Marketplace, bystander: Marketplace, target: str
) -> None:
    market.robots = status(302, Location=f"http://{target}:{urlsplit(bystander.url).port}/robots.txt")
    error = failure(market)
    assert isinstance(error, PermanentFetchError) and error.cause == "private_address"
    assert "is not public" in str(error)
    assert bystander.paths == [] and bystander.connections == 0


def test_a_redirect_to_another_host_uses_no_proxy(
    market: Marketplace, bystander: Marketplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", bystander.url)
    market.robots = status(302, Location="http://127.0.0.2/robots.txt")
    assert failure(market).cause == "private_address"
    assert bystander.paths == []


def test_the_address_that_was_checked_is_the_one_connected_to(
    market: Marketplace, bystander: Marketplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The name would resolve to nothing, or to another address, if it were resolved once more.
    monkeypatch.setattr(http, "require_public", lambda host, port: ["127.0.0.1"])
    port = urlsplit(bystander.url).port
    bystander.robots = "User-agent: *\nDisallow: /s"
    market.robots = status(301, Location=f"http://robots.invalid:{port}/robots.txt")
    assert failure(market).cause == "robots"
    assert bystander.paths == ["/robots.txt"] and bystander.hosts == {f"robots.invalid:{port}"}


def test_a_name_that_does_not_resolve_is_a_failure_that_may_pass(market: Marketplace) -> None:
    market.robots = status(302, Location="http://robots.invalid/robots.txt")
    error = failure(market)
    assert isinstance(error, TransientFetchError) and error.cause == "dns"


def test_over_tls_the_certificate_is_that_of_the_name_not_of_the_address(
    market: Marketplace, tls: Marketplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "require_public", lambda host, port: ["127.0.0.1"])
    tls.robots = "User-agent: *\nDisallow: /s"
    with open_session(market.settings) as session:
        port = urlsplit(tls.url).port
        assert get_page(session, f"https://robots.invalid:{port}/robots.txt", market.settings) == tls.robots.encode()
        with pytest.raises(PermanentFetchError) as raised:
            get_page(session, f"https://other.invalid:{port}/robots.txt", market.settings)
    assert raised.value.cause == "tls"


@pytest.fixture
def bystander() -> Iterator[Marketplace]:
    """Another server on this machine, which a redirect points to."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        yield from serving(server, "http")


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Marketplace]:
    """A server with a certificate for robots.invalid, which this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "robots.invalid")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("robots.invalid")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "both.pem").write_bytes(pem + secret)
    (tmp_path / "authority.pem").write_bytes(pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield from serving(server, "https")
