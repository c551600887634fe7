"""The HTTP service: an API for programs and a page for merchandisers. It reads the home and never writes to it.

app              creates the application from the modules below
routes           the routes
dependencies     the parameters of the routes: the state, the snapshot, checked query parameters
schemas          the JSON of the answers; problems: that of failed requests
state            the state of a running service, with its worker threads
snapshot         the data that an answer needs, in memory; snapshot_holder: the current one
answers          recommendations as JSON, and their cache
guard            rate limit, API key, security headers, request log, metrics
protocol         the time limit on request headers
page/            the page: no build step, no other host
"""

from recsys.service.app import create_service

__all__ = ["create_service"]
