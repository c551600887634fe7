"""The causes of a failed download: the ledger's words, the meaning of each and the remedy.

A permanent cause would come back with the same request, so it is not retried in a run. A cause that may pass is retried
until the budget of attempts (`images.attempts`) is spent; then the image is broken with that cause.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from recsys.core.errors import FetchError, PermanentFetchError, TransientFetchError

Status = Literal["ok", "broken", "pending"]


@dataclass(frozen=True)
class Cause:
    """The meaning of a word of the ledger, the remedy, and whether the failure may pass by itself."""

    meaning: str
    remedy: str
    passing: bool = False


CAUSES: dict[str, Cause] = {
    # the address
    "no_url": Cause("the catalogue has no image URL for the product", "add a URL to the catalogue"),
    "bad_url": Cause("the URL is not a complete http or https address", "correct the URL in the catalogue"),
    "credentials": Cause("the URL contains a user name or a password", "publish the image without a login"),
    "private_address": Cause(
        "the address is private, loopback or link-local", "add the host to images.allow_hosts if you trust it"
    ),
    "no_file": Cause("the image file does not exist, or cannot be read", "put the file into the folder"),
    "outside_folder": Cause(
        "the image file is not in the folder of the catalogue's images", "set catalogue.image_folder to its folder"
    ),
    # the connection
    "dns": Cause("the host's name does not resolve", "check the host's name in the URL", passing=True),
    "refused": Cause("the host refuses the connection", "check the host and port in the URL", passing=True),
    "tls": Cause("the TLS connection failed, or its certificate is not valid", "renew the host's certificate"),
    "timeout": Cause("no complete answer in time", "check the image server, or raise images.timeout_s", passing=True),
    "reset": Cause("the connection broke", "check the image server", passing=True),
    "host_down": Cause("the whole host is unreachable", "run again when the host is up", passing=True),
    # the answer
    "redirect_loop": Cause("the redirects do not end", "replace the URL with the final URL of the image"),
    "bad_answer": Cause("the answer is not valid HTTP", "check the image server"),
    "too_large": Cause("the image has more bytes than images.max_bytes", "publish a smaller image, or raise the limit"),
    "empty": Cause("the answer has no data", "upload the image again"),
    "opted_out": Cause(
        "the host forbids this use (X-Robots-Tag)", "remove the header, or set images.obey_robots_tag to false"
    ),
    # the picture
    "not_an_image": Cause("the answer is not a picture, often an error page", "replace the URL or the file"),
    "unsupported_format": Cause(
        "the file has a format that is not decoded, such as SVG, JPEG XL or (without pillow-heif) HEIC",
        "publish the image as JPEG, PNG or WebP",
    ),
    "truncated": Cause("the picture is incomplete or damaged", "upload the image again"),
    "too_many_pixels": Cause(
        "the picture has more pixels than images.max_pixels", "publish a smaller image, or raise the limit"
    ),
    "blank": Cause(
        "the picture has one colour only, or at most 4 × 4 pixels", "upload a picture that shows the product"
    ),
    "placeholder": Cause(
        "many other products have the same picture: 'no image available'", "upload the product's own image"
    ),
    # status codes with a remedy of their own
    "http_401": Cause("the host requires a login", "publish the image without a login"),
    "http_403": Cause("the host forbids access", "allow this user agent, or publish the image without a login"),
    "http_404": Cause("the image does not exist on the host", "replace the URL, or upload the image"),
    "http_408": Cause("the host reports a time-out", "run again", passing=True),
    "http_410": Cause("the image was removed from the host permanently", "replace the URL"),
    "http_425": Cause("the host reports that the request is too early", "run again", passing=True),
    "http_429": Cause("the host requires fewer requests", "set images.rate_per_host", passing=True),
}


def explain(cause: str) -> Cause:
    """Return the meaning and remedy of a cause; `http_<code>` works for every code, and 5xx may pass.

    An unknown word, which the ledger of an older home may contain, has a general meaning.
    """
    if cause in CAUSES:
        return CAUSES[cause]
    if not re.fullmatch(r"http_\d{3}", cause):
        return Cause("the cause is unknown to this version", "check the image server")
    code = int(cause.removeprefix("http_"))
    phrase = HTTPStatus(code).phrase if code in set(HTTPStatus) else "an unknown code"
    return Cause(f"the host answers {code} ({phrase})", "check the image server", passing=500 <= code < 600)


def fetch_error(cause: str, message: str, http_code: int | None = None, retry_after: float | None = None) -> FetchError:
    """Return the error of a cause: transient when it may pass, else permanent."""
    kind = TransientFetchError if explain(cause).passing else PermanentFetchError
    return kind(cause, message, http_code, retry_after)
