"""The server of the page: a fixed table of files, and the live messages.

It is meant for a few people on a trusted network. Each connection has a thread of its own, one request, and little
time; there are at most `MAX_CONNECTIONS`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import socketserver
import threading
from dataclasses import dataclass
from importlib import resources
from typing import Any

from asma_edge.errors import AsmaError
from asma_edge.serve.guard import Guard, make_guard
from asma_edge.serve.hub import MAX_CLIENTS, Hub, encode
from asma_edge.serve.request import Request, RequestError, read_request

MAX_CONNECTIONS = 32
HEAD_SECONDS = 5.0  # for a request to arrive
SEND_SECONDS = 5.0  # for a client to take what it is sent
PING_SECONDS = 5.0  # without a message, after which one says that the connection lives
LIVE = "/live"

_SEND_BUFFER = 64 * 1024  # bytes in flight to a slow client: about five seconds of messages, not minutes
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/stage.js": ("stage.js", "text/javascript; charset=utf-8"),
    "/chart.js": ("chart.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 413: "Content Too Large", 414: "URI Too Long", 431: "Request Header Fields Too Large",
    503: "Service Unavailable", 505: "HTTP Version Not Supported",
}  # fmt: skip
_ALWAYS = {
    "Connection": "close",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class ServeError(AsmaError):
    """The page cannot be served: its address, its port or its files."""


@dataclass(frozen=True, slots=True)
class _File:
    kind: str
    data: bytes


class PageServer:
    """Serves the page and a hub's messages, from its construction until `close`.

    Args:
        hub: where the messages come from.
        host: name or address to listen at.
        port: 0 for any free one.
        token: see `make_guard`.

    Attributes:
        address: (IP address, port) it listens at.
        guard: who may see the page.

    Raises:
        ServeError: the host has no address here, the port is in use or not allowed, or the page's files are missing.
        AsmaError: the token is unusable.
    """

    def __init__(self, hub: Hub, host: str = "127.0.0.1", port: int = 8080, token: str | None = None) -> None:
        self.hub, self.host = hub, host
        self.files = _read_files()
        family, address = _resolve(host, port)
        make_guard(host, address, port, token)  # an unusable token is refused before the port is taken
        try:
            self._listener = _Listener(self, family, (address, port))
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        self.address: tuple[str, int] = self._listener.server_address[:2]  # type: ignore[assignment]
        self.guard: Guard = make_guard(host, address, self.address[1], token)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.1,), name="page", daemon=True)
        self._thread.start()

    def urls(self) -> list[str]:
        """Addresses to open, with the token; several where the page listens at every address of the machine."""
        address, port = self.address
        names = [f"[{address}]" if ":" in address else address]
        if address in ("0.0.0.0", "::"):
            names = [f"{socket.gethostname().partition('.')[0]}.local", *_addresses()]
        token = "" if self.guard.token is None else f"?token={self.guard.token}"
        return [f"http://{name}:{port}/{token}" for name in names]

    def close(self) -> None:
        """Stop listening, and let everybody go."""
        self.hub.close()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, page: PageServer, family: socket.AddressFamily, address: tuple[str, int]) -> None:
        self.page, self.address_family = page, family
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            # The refusal fits into an empty send buffer; whoever cannot take it at once goes without.
            request.setblocking(False)
            with contextlib.suppress(OSError):
                request.send(_head(503, {"Retry-After": "5", "Content-Length": "0"}))
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _Handler(socketserver.BaseRequestHandler):
    """One connection: one request and its answer."""

    request: socket.socket
    server: _Listener

    def handle(self) -> None:
        page = self.server.page
        try:
            try:
                request = read_request(self.request, HEAD_SECONDS)
                page.guard.check(request)
                if request.path == LIVE:
                    self._live(page.hub)
                else:
                    self._file(page, request)
            except RequestError as error:
                self._refuse(error)
        except OSError:
            pass  # the client has gone, or takes nothing: nobody is left to tell

    def _file(self, page: PageServer, request: Request) -> None:
        file = page.files.get(request.path)
        if file is None:
            raise RequestError(404, "there is no such page", expected=", ".join([*page.files, LIVE]))
        headers = {"Content-Type": file.kind, "Content-Length": str(len(file.data))}
        cookie = page.guard.set_cookie(request)
        if cookie is not None:
            headers["Set-Cookie"] = cookie
        self._send(_head(200, headers) + file.data)

    def _live(self, hub: Hub) -> None:
        client = hub.join()
        if client is None:
            raise RequestError(
                503, "too many viewers", expected=f"at most {MAX_CLIENTS}", got="one more", hint="close another page"
            )
        try:
            self._limit_buffers()
            self._send(_head(200, {"Content-Type": "text/event-stream; charset=utf-8"}))
            while (messages := client.take(PING_SECONDS)) is not None:
                self._send(messages or encode("ping", {}))
        finally:
            hub.leave(client)

    def _limit_buffers(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # milliseconds until a peer that vanished without a word is given up
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(2 * SEND_SECONDS * 1000))

    def _refuse(self, error: RequestError) -> None:
        body = f"{error}\n".encode()
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))}
        if error.status == 405:
            headers["Allow"] = "GET"
        elif error.status == 503:
            headers["Retry-After"] = "5"
        self._send(_head(error.status, headers) + body)
        # Closing while bytes are unread would reset the connection, and the client might lose the answer.
        self.request.shutdown(socket.SHUT_WR)
        self.request.settimeout(0.5)
        for _ in range(16):
            if not self.request.recv(64 * 1024):
                break

    def _send(self, data: bytes) -> None:
        self.request.settimeout(SEND_SECONDS)
        self.request.sendall(data)


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", *(f"{k}: {v}" for k, v in {**_ALWAYS, **headers}.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _read_files() -> dict[str, _File]:
    """The page's files by path, read once: no request ever names a file on the disk."""
    folder = resources.files("asma_edge.serve") / "page"
    try:
        return {path: _File(kind, (folder / name).read_bytes()) for path, (name, kind) in _FILES.items()}
    except OSError as error:
        raise ServeError(
            "the page's files are missing",
            expected="asma_edge/serve/page/ with " + ", ".join(name for name, _ in _FILES.values()),
            got=str(error),
            hint="install asma-edge again",
        ) from error


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, str]:
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ServeError("unusable port", expected="1 to 65535, or 0 for any free one", got=repr(port))
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ServeError(
            f"host '{host}' has no address",
            expected="a name or address of this machine, such as 127.0.0.1 or 0.0.0.0 (all of them)",
            got=str(error),
            hint="leave --host out to show the page on this machine only",
        ) from error
    return family, str(address[0])


def _cannot_listen(host: str, port: int, error: OSError) -> ServeError:
    hints = {
        errno.EADDRINUSE: f"stop the program that listens there, or choose another: --port {port % 65535 + 1}",
        errno.EACCES: "choose a port from 1024 on",
        errno.EADDRNOTAVAIL: "--host must be an address of this machine; 0.0.0.0 is all of them",
    }
    return ServeError(
        f"port {port} is in use" if error.errno == errno.EADDRINUSE else f"cannot listen at {host}, port {port}",
        expected=f"a free port at {host}",
        got=os.strerror(error.errno) if error.errno else str(error),
        hint=hints.get(error.errno or 0, "choose another --host or --port"),
    )


def _addresses() -> list[str]:
    """This machine's IPv4 addresses, without loopback."""
    import psutil

    found = [entry for entries in psutil.net_if_addrs().values() for entry in entries if entry.family == socket.AF_INET]
    return [entry.address for entry in found if not entry.address.startswith("127.")][:3]
