"""HTTP requests, read strictly: a GET with plain, short headers and no body, or a refusal with its status.

One request a connection. What the grammar of RFC 9112 allows and no browser sends (folded lines, bare line feeds,
chunks, absolute targets) is refused rather than interpreted.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from time import monotonic
from urllib.parse import parse_qsl

from asma_edge.errors import AsmaError

MAX_LINE = 2048  # bytes of the request line
MAX_HEAD = 16 * 1024  # bytes of the request line and all headers; cookies of other programs on this host come too
MAX_HEADERS = 64
MAX_FIELDS = 8  # of the query

_END = b"\r\n\r\n"
_LINE = re.compile(rb"([A-Za-z]{1,20}) (/[\x21-\x7e]*) HTTP/(\d\.\d)")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")


class RequestError(AsmaError):
    """A request is refused.

    Attributes:
        status: the HTTP status of the answer.
    """

    def __init__(self, status: int, what: str, *, expected: str = "", got: str = "", hint: str = "") -> None:
        super().__init__(what, expected=expected, got=got, hint=hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A GET.

    Attributes:
        path: as sent, not decoded; only exact names of the page's own table mean anything.
        query: decoded fields; the first of a name counts.
        headers: by lower-case name; a name that came twice is joined by ", ".
    """

    path: str
    query: dict[str, str]
    headers: dict[str, str]


def read_request(connection: socket.socket, seconds: float) -> Request:
    """Receive and read a request's head within ``seconds`` in total, however slowly its bytes come.

    Raises:
        RequestError: the head is late, too long, or not a plain GET.
        OSError: the connection broke.
    """
    deadline, head = monotonic() + seconds, b""
    while _END not in head:
        left = deadline - monotonic()
        if left <= 0:
            raise _late(seconds)
        connection.settimeout(left)
        try:
            part = connection.recv(4096)
        except TimeoutError as error:
            raise _late(seconds) from error
        if not part:
            raise ConnectionResetError("closed before the end of the request")
        head += part
        _check_sizes(head)
    head, _, rest = head.partition(_END)
    if rest:
        raise RequestError(413, "a request has a body", expected="the head of a GET", got=f"{len(rest)} bytes after it")
    return parse_request(head)


def parse_request(head: bytes) -> Request:
    """Read a request's head, without the blank line at its end.

    Raises:
        RequestError: it is too long, malformed, has a body, or asks for something else than GET.
    """
    _check_sizes(head)
    first, *rest = head.split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise RequestError(400, "not an HTTP request", expected="GET /path HTTP/1.1", got=_show(first))
    method, target, version = (group.decode("ascii") for group in line.groups())
    if version not in ("1.0", "1.1"):
        raise RequestError(505, "unknown version of HTTP", expected="HTTP/1.1", got=f"HTTP/{version}")
    if method != "GET":
        raise RequestError(405, "the page can only be read", expected="GET", got=method)
    headers = _headers(rest)
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise RequestError(413, "a request has a body", expected="the head of a GET", got="the announcement of a body")
    path, _, query = target.partition("?")
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise RequestError(400, "too long a query", expected=f"at most {MAX_FIELDS} fields", got=str(error)) from error
    return Request(path, dict(reversed(fields)), headers)


def _headers(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > MAX_HEADERS:
        raise RequestError(431, "too many headers", expected=f"at most {MAX_HEADERS}", got=str(len(lines)))
    headers: dict[str, str] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise RequestError(400, "not a header", expected="Name: value", got=_show(line))
        name, value = match[1].decode("ascii").lower(), match[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _check_sizes(head: bytes) -> None:
    """Refuse early: a client that never ends a line must not be waited for."""
    if not head[:1].isalpha():  # a TLS hello, for one
        raise RequestError(400, "not an HTTP request", expected="GET /path HTTP/1.1", got=_show(head))
    if head.find(b"\n", 0, MAX_LINE) < 0 and len(head) >= MAX_LINE:
        raise RequestError(414, "too long a request line", expected=f"under {MAX_LINE} bytes", got="more")
    if len(head) > MAX_HEAD:
        raise RequestError(431, "too long a request", expected=f"at most {MAX_HEAD} bytes", got="more")


def _late(seconds: float) -> RequestError:
    return RequestError(408, "a request came too slowly", expected=f"its head within {seconds:g} s", got="a part of it")


def _show(data: bytes) -> str:
    return repr(data[:60])
