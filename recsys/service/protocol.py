"""A time limit on the headers of a request, which uvicorn does not have.

uvicorn's only time limit is for idle connections between two requests; a client that sends its headers slowly keeps
a connection open for ever (https://github.com/Kludex/uvicorn/issues/157). The subclass below overrides only the
documented methods of `asyncio.Protocol` and the documented callbacks of httptools' parser.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_TIMEOUT_S = 10.0
"""Time for the headers of a request, seconds, from its first byte or from the start of the connection."""


class HeadersTimeoutProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol that closes a connection whose request headers take too long."""

    _timer: asyncio.TimerHandle | None = None
    _awaiting_headers = True
    _receiving_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        if not self._receiving_body:
            self._awaiting_headers = True
        super().data_received(data)
        if self._awaiting_headers:
            self._start_timer()

    def on_headers_complete(self) -> None:
        self._awaiting_headers, self._receiving_body = False, True
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._receiving_body = False
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HEADERS_TIMEOUT_S, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
