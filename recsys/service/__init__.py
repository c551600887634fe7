"""The service: what the store knows, over HTTP, and the page that shows it. It reads the home and never writes to it.

app        the addresses, what they take and what they answer
snapshot   all that an answer needs, in memory, swapped for a newer one as a whole
guard      what every request goes through: its id, limits, headers, log line and metrics
protocol   connections that are too slow in sending a request
page/      the page: no build step, no other host
"""

from recsys.service.app import create_service

__all__ = ["create_service"]
