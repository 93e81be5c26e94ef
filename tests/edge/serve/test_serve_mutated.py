"""Requests with errors are read, answered or refused by name, nothing else."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest
from page_client import PLAIN, TOKEN, exchange, get

from asma_edge.serve import PageServer, server
from asma_edge.serve.guard import make_guard
from asma_edge.serve.request import Request, RequestError, parse_request

SEEDS = (
    PLAIN,
    b"GET /live HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\nCookie: asma_8080=abc; other=1\r\n\r\n",
    b"GET /?token=abcdefghijklmnop HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n\r\n",
    b"GET /app.js HTTP/1.0\r\nHost: [::1]:80\r\nOrigin: http://[::1]:80\r\nContent-Length: 0\r\n\r\n",
)
PIECES = (
    b"\r\n", b"\n", b"\r\n\r\n", b"\0", b"\xff", b" ", b":", b"Host: evil.example\r\n", b"Content-Length: 99\r\n",
    b"Transfer-Encoding: chunked\r\n", b"HTTP/9.9", b"/../..", b"%", b"?", b"token=", b";", b"\"", b"a" * 3000,
    b"Cookie: \"\\", b"[", b"http://",
)  # fmt: skip


def mutated(randoms: random.Random) -> bytes:
    """A request with some bytes changed, taken away, doubled, or replaced by what parsers stumble over."""
    data = bytearray(randoms.choice(SEEDS))
    for _ in range(randoms.randint(1, 4)):
        at, kind = randoms.randrange(len(data) + 1), randoms.randrange(5)
        if kind == 0 and at < len(data):
            data[at] = randoms.randrange(256)
        elif kind == 1:
            del data[at : at + randoms.randint(1, 12)]
        elif kind == 2:
            data[at:at] = randoms.choice(PIECES)
        elif kind == 3:
            data[at:at] = data[at : at + 40]
        else:
            data[at:at] = randoms.randbytes(randoms.randint(1, 8))
    return bytes(data)


def test_ten_thousand_mutated_requests_are_read_or_refused() -> None:
    randoms = random.Random(0)
    guards = (make_guard("localhost", "127.0.0.1", 8080, None), make_guard("pi", "192.168.1.5", 8080, TOKEN))
    statuses = []
    for _ in range(10_000):
        try:
            request = parse_request(mutated(randoms).partition(b"\r\n\r\n")[0])
            for guard in guards:
                guard.check(request)
            statuses.append(200)
        except RequestError as error:
            statuses.append(error.status)
    assert set(statuses) <= set(server._REASONS)
    assert statuses.count(200) < 5000
    assert isinstance(parse_request(PLAIN[:-4]), Request)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_requests_over_the_wire_get_an_answer_or_nothing(
    open_page: Callable[..., PageServer], count: int
) -> None:
    randoms = random.Random(1)
    pages = (open_page(), open_page(token=TOKEN))
    statuses = set()
    for index in range(count):
        data = mutated(randoms).replace(b"GET /live", b"GET /alive")
        received = exchange(pages[index % 2], data)
        if received:
            head = re.match(rb"HTTP/1\.1 (\d{3}) [A-Za-z -]+\r\n", received)
            assert head is not None
            statuses.add(int(head[1]))
    assert statuses >= {200, 400, 401, 403, 404, 413}
    assert statuses <= set(server._REASONS) - {503}
    assert get(pages[0]).status == 200
    assert get(pages[1], f"/?token={TOKEN}").status == 200
