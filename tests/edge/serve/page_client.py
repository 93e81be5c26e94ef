"""A browser as the tests of the page need it: it says exactly these bytes, or listens."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asma_edge.builtin import model_path
from asma_edge.serve import PageServer

TOKEN = "a-token-of-the-tests"
PLAIN = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
MODEL = model_path("irds9")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def exchange(page: PageServer, data: bytes, seconds: float = 10.0) -> bytes:
    """All that the server answers to these bytes, after which nothing more is sent."""
    with socket.create_connection(page.address, timeout=seconds) as connection:
        received = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(1 << 16):
                received += part
        except ConnectionError:
            pass  # the server may close before it has read everything
        return received


def answer(page: PageServer, data: bytes) -> Answer:
    head, _, body = exchange(page, data).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert int(headers.get("Content-Length", len(body))) == len(body)
    return Answer(int(first.split()[1]), headers, body)


def get(page: PageServer, path: str = "/", **headers: str) -> Answer:
    lines = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return answer(page, f"GET {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1"))


class Viewer:
    """A browser that listens to /live."""

    def __init__(self, page: PageServer) -> None:
        self._connection = http.client.HTTPConnection(*page.address, timeout=10)
        self._connection.request("GET", "/live")
        self.answer = self._connection.getresponse()

    def read(self) -> tuple[str, Any]:
        """The next message: its kind and values."""
        kind, data, empty = (self.answer.readline().decode().rstrip("\n") for _ in range(3))
        assert (kind[:7], data[:6], empty) == ("event: ", "data: ", "")
        return kind[7:], json.loads(data[6:])

    def close(self) -> None:
        self._connection.close()
        self.answer.close()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
