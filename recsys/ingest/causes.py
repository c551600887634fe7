"""Why an image is not there: the ledger's words, what each means and what to do about it.

A permanent cause would come back with the same request, so it is never asked again in a run. A passing one is
retried until its budget of attempts (`images.attempts`) is spent; then the image is broken with that cause.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from recsys.core.errors import FetchError, PermanentFetchError, TransientFetchError

Status = Literal["ok", "broken", "pending"]


@dataclass(frozen=True)
class Cause:
    """What a word of the ledger means, what to do about it, and whether it may pass by itself."""

    meaning: str
    remedy: str
    passing: bool = False


CAUSES: dict[str, Cause] = {
    # the address
    "no_url": Cause("the catalogue gives no image URL", "add one to the catalogue"),
    "bad_url": Cause("not a complete http or https address", "correct the URL in the catalogue"),
    "credentials": Cause("the URL holds a user name or a password", "publish the image openly, and remove them"),
    "private_address": Cause(
        "a private, loopback or link-local address", "list the host in images.allow_hosts if you trust it"
    ),
    # the way there
    "dns": Cause("the host's name does not resolve", "check the host's name in the URL", passing=True),
    "refused": Cause("the host takes no connection", "check the host and port in the URL", passing=True),
    "tls": Cause("no secure connection, or its certificate is not valid", "have the host's certificate renewed"),
    "timeout": Cause("no complete answer in time", "check the image server, or raise images.timeout_s", passing=True),
    "reset": Cause("the connection broke off", "check the image server", passing=True),
    "host_down": Cause("the whole host is unreachable", "run again when it is back", passing=True),
    # the answer
    "redirect_loop": Cause("redirects that do not end", "replace the URL by the image's own"),
    "bad_answer": Cause("the answer is not valid HTTP", "check the image server"),
    "too_large": Cause("more bytes than images.max_bytes", "publish a smaller image, or raise the limit"),
    "empty": Cause("the answer holds no data", "upload the image again"),
    "opted_out": Cause("the host forbids this use (X-Robots-Tag)", "lift it, or set images.obey_robots_tag to false"),
    # the picture
    "not_an_image": Cause("something else than a picture, often an error page", "replace the URL or the file"),
    "truncated": Cause("the picture's data is incomplete or damaged", "upload the image again"),
    "too_many_pixels": Cause("more pixels than images.max_pixels", "publish a smaller image, or raise the limit"),
    "placeholder": Cause(
        "the same picture as many other products: 'no image available'", "upload the product's own image"
    ),
    # the status codes that mean something of their own
    "http_401": Cause("the host wants a login", "publish the image openly"),
    "http_403": Cause("the host forbids it", "allow this user agent, or publish the image openly"),
    "http_404": Cause("the host does not know the image", "replace the URL, or upload the image"),
    "http_408": Cause("the host gave up waiting", "run again", passing=True),
    "http_410": Cause("the host removed the image for good", "replace the URL"),
    "http_425": Cause("the host says it is too early", "run again", passing=True),
    "http_429": Cause("the host asks for fewer requests", "set images.rate_per_host", passing=True),
}


def explain(cause: str) -> Cause:
    """Return what a cause means; `http_<code>` is known for every code, and 5xx passes.

    A word that is not known here (an older home's ledger may hold one) means nothing in particular.
    """
    if cause in CAUSES:
        return CAUSES[cause]
    if not re.fullmatch(r"http_\d{3}", cause):
        return Cause("a cause that this version does not know", "check the image server")
    code = int(cause.removeprefix("http_"))
    phrase = HTTPStatus(code).phrase if code in set(HTTPStatus) else "an unknown code"
    return Cause(f"the host answers {code} ({phrase})", "check the image server", passing=500 <= code < 600)


def fetch_error(cause: str, message: str, http_code: int | None = None, retry_after: float | None = None) -> FetchError:
    """Return the error that a cause stands for: transient where it may pass, else permanent."""
    kind = TransientFetchError if explain(cause).passing else PermanentFetchError
    return kind(cause, message, http_code, retry_after)
