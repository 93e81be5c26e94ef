"""No viewer of the page can hold it up."""

from __future__ import annotations

import socket
import time

import pytest
from page_client import PLAIN, Viewer, exchange, get, until

from asma_edge.serve import PageOutput, PageServer, server
from asma_edge.serve.hub import MAX_CLIENTS, Hub


def test_viewers_that_vanish_or_do_not_read_hold_nobody_up(
    live: PageServer, output: PageOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SEND_SECONDS", 0.5)
    reader, vanished = Viewer(live), Viewer(live)
    deaf = socket.create_connection(live.address)
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    until(lambda: len(output.hub) == 3)
    vanished.close()
    longest = 0.0
    filling = "x" * 50_000
    until_gone = time.monotonic() + 20
    number = 0
    while len(output.hub) > 1:
        assert time.monotonic() < until_gone
        number += 1
        begun = time.monotonic()
        output.hub.publish("frame", {"number": number, "filling": filling})
        longest = max(longest, time.monotonic() - begun)
        time.sleep(0.002)
    assert longest < 0.25
    kinds = [reader.read() for _ in range(5)]
    assert kinds[0][0] == "hello"
    seen = [values["number"] for kind, values in kinds if kind == "frame"]
    assert seen == sorted(seen)
    deaf.close()
    reader.close()


def test_a_full_queue_keeps_every_event_and_the_newest_frames() -> None:
    hub = Hub(lambda: [("hello", {})])
    client = hub.join()
    assert client is not None
    for number in range(1000):
        hub.publish("frame", {"n": number})
        if number % 10 == 0:
            hub.publish("action", {"n": number})
    messages = (client.take(0) or b"").decode().split("\n\n")[:-1]
    kinds = [message.split("\n")[0] for message in messages]
    assert kinds == ["event: hello"] + ["event: action"] * 100 + ["event: frame"] * 4
    assert messages[-1] == 'event: frame\ndata: {"n":999}'
    assert client.take(0) == b""
    hub.close()
    assert client.take(0) is None
    assert hub.join() is None


def test_only_so_many_may_look_at_once(live: PageServer, output: PageOutput) -> None:
    viewers = [Viewer(live) for _ in range(MAX_CLIENTS)]
    got = get(live, "/live")
    assert (got.status, got.headers["Retry-After"]) == (503, "5")
    assert get(live).status == 200
    viewers.pop().close()
    until(lambda: (output.hub.publish("ping", {}), len(output.hub) < MAX_CLIENTS)[1])
    viewers.append(Viewer(live))
    assert viewers[-1].read()[0] == "hello"
    for viewer in viewers:
        viewer.close()


def test_only_so_many_may_connect_at_once(live: PageServer) -> None:
    waiting = [socket.create_connection(live.address) for _ in range(server.MAX_CONNECTIONS)]
    until(lambda: b" 503 " in exchange(live, PLAIN))
    for connection in waiting:
        connection.close()
    until(lambda: b" 200 " in exchange(live, PLAIN))


def test_it_says_that_it_lives(live: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PING_SECONDS", 0.05)
    viewer = Viewer(live)
    assert [viewer.read() for _ in range(3)][1:] == [("ping", {}), ("ping", {})]
    viewer.close()


def test_closing_lets_viewers_go(output: PageOutput) -> None:
    page = PageServer(output.hub, port=0)
    viewer = Viewer(page)
    viewer.read()
    page.close()
    assert viewer.answer.readline() == b""
    viewer.close()
    with pytest.raises(ConnectionError):
        socket.create_connection(page.address)
