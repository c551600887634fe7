"""Plan which images of the sample shop are broken, and how.

The original project found 1,554 of 20,000 image URLs broken (7.77 %); the sample shop has
the same share, spread evenly over the causes. A further 2 % fail twice and then succeed.
"""

import hashlib
from collections.abc import Iterable

BROKEN_SHARE = 0.0777  # 1,554 of 20,000 in the original project
FLAKY_SHARE = 0.02
FAILURES_BEFORE_OK = 2  # requests for a flaky image that fail before one succeeds

PERMANENT = (
    "404", "410", "403", "500", "not_an_image", "truncated", "empty", "hang", "reset", "redirect_loop",
)  # fmt: skip
FLAKY = ("503_then_ok", "429_then_ok", "reset_then_ok")


def plan_faults(seed: int, names: Iterable[str]) -> dict[str, str]:
    """Return the fault of each faulty image: exactly round(7.77 %) permanently broken, round(2 %) flaky.

    The images are sorted by a hash of seed and name, and the first ones are broken. The plan therefore depends
    only on the seed and the names.
    """
    order = sorted(set(names), key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    broken, flaky = round(BROKEN_SHARE * len(order)), round(FLAKY_SHARE * len(order))
    faults = {name: PERMANENT[i % len(PERMANENT)] for i, name in enumerate(order[:broken])}
    faults |= {name: FLAKY[i % len(FLAKY)] for i, name in enumerate(order[broken : broken + flaky])}
    return faults
