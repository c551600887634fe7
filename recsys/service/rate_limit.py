"""The limit on the requests of one client."""

from collections import OrderedDict

MAX_CLIENTS = 10_000
"""Number of clients whose rate is remembered; the least recent is forgotten first."""


class RateLimiter:
    """A token bucket for each client: `per_second` requests a second, with bursts of twice as many."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._burst = max(1.0, 2 * per_second)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client: (tokens, time of last request)

    def allow(self, client: str, timestamp: float) -> bool:
        """Return whether a client may send a request, and count it.

        Args:
            client: the client's address.
            timestamp: seconds of a monotonic clock.
        """
        tokens, last = self._buckets.pop(client, (self._burst, timestamp))
        tokens = min(self._burst, tokens + (timestamp - last) * self._per_second)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, timestamp)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return allowed

    def __len__(self) -> int:
        """Return the number of clients that are remembered."""
        return len(self._buckets)
