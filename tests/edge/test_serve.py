"""`asma-edge serve`: what the page is told, whom it refuses, and that no viewer can hold it up."""

from __future__ import annotations

import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge import AsmaError, Recognizer
from asma_edge.builtin import model_path
from asma_edge.cli import main
from asma_edge.cli.shared import BAD_INPUT, OK
from asma_edge.pipeline import Pipeline
from asma_edge.repetitions import Repetition
from asma_edge.serve import PageOutput, PageServer, ServeError, server
from asma_edge.serve.guard import make_guard
from asma_edge.serve.hub import MAX_CLIENTS, Hub
from asma_edge.serve.messages import pose_numbers, score_pairs, whose
from asma_edge.serve.request import MAX_HEAD, MAX_HEADERS, MAX_LINE, Request, RequestError, parse_request
from asma_edge.sources import PoseFrame, open_source

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


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer.load(MODEL)


@pytest.fixture(scope="module")
def recording() -> list[PoseFrame]:
    """30 seconds of the built-in model's example."""
    frames = list(open_source("example", model=MODEL))
    return [frame for frame in frames if frame.t < 30]


@pytest.fixture
def output(recognizer: Recognizer) -> PageOutput:
    return PageOutput(recognizer, "tests")


@pytest.fixture(scope="module", autouse=True)
def unforeseen() -> Iterator[list[BaseException | None]]:
    """What connections met with that nobody expected: nothing, at the end."""
    met: list[BaseException | None] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server._Listener, "handle_error", lambda *_: met.append(sys.exception()))
        yield met
    assert met == []


@pytest.fixture
def open_page(output: PageOutput) -> Iterator[Callable[..., PageServer]]:
    """open(...): a page at a free port."""
    pages: list[PageServer] = []

    def open_one(**options: Any) -> PageServer:
        pages.append(PageServer(output.hub, port=0, **options))
        return pages[-1]

    yield open_one
    for page in pages:
        page.close()


@pytest.fixture
def live(open_page: Callable[..., PageServer]) -> PageServer:
    """The page of `output`."""
    return open_page()


@pytest.fixture(scope="module")
def page(recognizer: Recognizer) -> Iterator[PageServer]:
    """A page that every request finds as the first one did."""
    page = PageServer(PageOutput(recognizer, "tests").hub, port=0)
    yield page
    page.close()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ---- the page ----


@pytest.mark.parametrize("path", sorted(server._FILES))
def test_its_files_are_served_and_need_nothing_from_elsewhere(page: PageServer, path: str) -> None:
    got = get(page, path)
    text = got.body.decode()
    assert got.status == 200
    assert got.headers["Content-Type"] == server._FILES[path][1]
    assert got.headers["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert "frame-ancestors 'none'" in got.headers["Content-Security-Policy"]
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in got.headers
    assert "//" not in re.sub(r"http://www\.w3\.org/2000/svg|^ *//.*$| // .*$", "", text, flags=re.MULTILINE)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert len(got.body) < 16_000


def test_every_file_of_the_page_is_in_the_table() -> None:
    folder = Path(server.__file__).parent / "page"
    assert {name for name, _ in server._FILES.values()} == {path.name for path in folder.iterdir()}


def test_a_viewer_is_told_what_was_and_what_is(
    live: PageServer, output: PageOutput, recognizer: Recognizer, recording: list[PoseFrame]
) -> None:
    pipeline = Pipeline(recognizer, [output])
    for frame in recording[:-30]:
        pipeline.take(frame, "example")
    viewer = Viewer(live)
    assert viewer.answer.headers["Content-Type"].startswith("text/event-stream")
    kind, hello = viewer.read()
    assert kind == "hello"
    assert hello["labels"] == list(recognizer.labels)
    assert hello["units"] == "metres"
    assert len(hello["edges"]) == len(hello["joints"]) - 1 == 24
    assert hello["actions"]
    assert sum(count["actions"] for count in hello["counts"]) == len(hello["actions"])
    for action in hello["actions"][:-1]:
        assert action.keys() == {"n", "person", "label", "t", "end", "score"}
        assert action["label"] in hello["labels"]
        assert action["t"] < action["end"]
        assert recognizer.decision.enter <= action["score"] <= 1
    assert hello["history"]
    kind, frame = viewer.read()
    assert kind == "frame"
    assert frame.keys() == {"t", "people", "ms", "fps", "age", "dropped"}
    (person,) = frame["people"]
    assert person.keys() == {"id", "pose", "state", "label", "score", "since", "scores"}
    assert (person["id"], len(person["pose"])) == (None, 75)
    assert frame["ms"] > 0
    time.sleep(0.3)  # longer than a viewer waits between two frames, on a busy machine as well
    for frame in recording[-30:]:
        pipeline.take(frame, "example")
    pipeline.finish()
    kinds: set[str] = set()
    while not {"frame", "over"} <= kinds:  # whatever waits for a viewer together comes before the frame
        kinds.add(viewer.read()[0])
    viewer.close()
    late = Viewer(live)
    assert [late.read()[0] for _ in range(3)] == ["hello", "frame", "over"]
    late.close()


def test_frames_are_thinned_out_but_actions_and_repetitions_are_not(recognizer: Recognizer) -> None:
    seconds = [0.0]
    output = PageOutput(recognizer, "tests", camera=True, dropped=lambda: 3, clock=lambda: seconds[0] + 0.05)
    sent: list[tuple[str, dict[str, Any]]] = []
    output.hub.publish = lambda kind, values: sent.append((kind, dict(values)))  # type: ignore[method-assign]
    pose = np.zeros((25, 3), np.float32)
    one = Recognizer.load(MODEL).stream().update(pose, 0.0)
    for index in range(200):
        t = seconds[0] = index / 100
        event = {0: "start", 2: "end"}.get(index % 5)
        label = recognizer.labels[index % 2]
        result = replace(one, t=t, label=label, t_start=t, event=event, score=0.9)
        if index % 50 == 7:
            result = replace(result, repetition=Repetition(1, label, t - 1.25, t, 0.9, 0.876))
        output.frame(PoseFrame(t, [pose], False, index), [(None, result)])
    frames = [values for kind, values in sent if kind == "frame"]
    assert 29 <= len(frames) <= 32
    assert (frames[-1]["age"], frames[-1]["dropped"], frames[-1]["fps"]) == (50.0, 3, 100.0)
    actions = [values for kind, values in sent if kind == "action"]
    assert len(actions) == 80  # 40 of them, each as it starts and as it ends
    assert sum(values["end"] is not None for values in actions) == 40
    counts = {values["label"]: values for kind, values in sent if kind == "count"}
    assert sum(count["actions"] for count in counts.values()) == 40
    assert sum(count["repetitions"] for count in counts.values()) == 4
    assert (counts[recognizer.labels[1]]["last"], counts[recognizer.labels[1]]["quality"]) == (1.25, 0.88)


def test_what_a_viewer_is_told_first_is_bounded(recognizer: Recognizer) -> None:
    seconds = [0.0]
    output = PageOutput(recognizer, "tests", clock=lambda: seconds[0])
    pose = np.zeros((25, 3), np.float32)
    one = recognizer.stream().update(pose, 0.0)
    for index in range(1500):
        t = seconds[0] = float(index)
        people = [(number, replace(one, t=t, label="x", event="start")) for number in range(index, index + 3)]
        output.frame(PoseFrame(t, [pose] * 3, True, index), people)
    (_, hello), *_ = output._greeting()
    assert len(hello["actions"]) == 100
    assert {round(t) for t, _, _ in hello["history"]} == set(range(1469, 1500))
    assert max(len(output._results), len(output._poses)) <= 100
    assert len(output._open) <= 100


def test_numbers_are_short_and_missing_joints_are_null() -> None:
    pose = np.array([[0.12345, -1, 2], [np.nan, 0, 0], [1e6, 2, 0.5]], np.float32)
    assert pose_numbers(pose, "metres") == [0.123, -1.0, 2.0, None, None, None, 1e6, 2.0, 0.5]
    assert pose_numbers(pose, "pixels") == [0.1, -1.0, None, None, 1e6, 2.0]
    assert score_pairs(np.array([0.001, 0.9, 0.099], np.float32)) == [[1, 0.9], [2, 0.099]]
    assert score_pairs(np.empty(0, np.float32)) == []


def test_poses_are_matched_to_the_people_that_are_followed() -> None:
    at = [np.full((3, 3), place, np.float32) for place in (0.0, 1.0, 2.0)]
    assert whose(at, [4, 2, 9], {}) == {4: 0, 2: 1, 9: 2}
    assert whose(at, [2, 9], {2: at[1], 9: at[2]}) == {2: 1, 9: 2}  # the first is nobody's
    assert whose(at, [2, 9], {2: at[0], 9: at[2]}) == {2: 0, 9: 2}
    assert whose(at, [], {}) == {}
    assert whose([], [1], {}) == {}


# ---- who is refused ----


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.1:9", "LOCALHOST:8080", "[::1]:8080"])
def test_it_answers_under_its_own_names(page: PageServer, host: str) -> None:
    assert get(page, Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.nip.io", "10.0.0.1", "[::2]",
     "localhost:x", "localhost, evil.example", "user@localhost", "localhost/", "0x7f.1"],
)  # fmt: skip
def test_it_does_not_answer_under_other_names(page: PageServer, host: str) -> None:
    for path in ("/", "/live"):
        got = get(page, path, Host=host)
        assert got.status == 403
        assert b"is not served under this name" in got.body
    assert answer(page, b"GET / HTTP/1.1\r\n\r\n").status == 403
    assert answer(page, b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n").status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://localhost"},
        {"Origin": "http://localhost:9"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "iframe"},
        {"Sec_Fetch_Site": "none", "Origin": "http://evil.example", "Sec_Fetch_Dest": "document"},
    ],
)
def test_other_sites_are_refused(page: PageServer, headers: dict[str, str]) -> None:
    for path in ("/", "/live", "/app.js"):
        got = get(page, path, **headers)
        assert got.status == 403
        assert b"another site" in got.body


def test_the_page_itself_and_a_link_to_it_are_not(page: PageServer) -> None:
    assert get(page, "/app.js", Sec_Fetch_Site="same-origin", Origin="http://localhost").status == 200
    assert get(page, "/", Sec_Fetch_Site="none").status == 200
    assert get(page, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document").status == 200
    assert get(page, "/live", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document").status == 403


@pytest.mark.parametrize(
    "path",
    ["/index.html", "/../server.py", "/page/../../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "//etc/passwd",
     "/app.js/", "/app.js%00", "/APP.JS", "/./app.js", "/live/", "/\\..\\server.py", "/app.js;x", "/.", "/favicon.ico"],
)  # fmt: skip
def test_paths_outside_its_table_do_not_exist(page: PageServer, path: str) -> None:
    got = get(page, path)
    assert got.status == 404
    assert b"there is no such page" in got.body
    assert b"import" not in got.body


MANY = b"".join(b"X-%d: 1\r\n" % index for index in range(MAX_HEADERS))
HOST = b"Host: localhost\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * MAX_LINE + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"G" * 100_000, 414),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * MAX_HEAD + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 500_000, 431),
        (b"GET / HTTP/1.1\r\n" + HOST + MANY + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", 413),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 9999999999\r\n\r\n" + b"a" * 500_000, 413),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
        (PLAIN + PLAIN, 413),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 0, 0\r\n\r\n", 413),
        (b"GET /?a&b&c&d&e&f&g&h&i HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc", 413),
        (b"POST / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"OPTIONS / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
        (b"GET http://localhost/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET / \r\n" + HOST + b"\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /\t HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET / HTTP/1.1\n" + HOST + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b" folded: 1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\nHost: b\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
        (b"\r\n\r\n", 400),
    ],
)
def test_oversize_and_malformed_requests_are_refused_with_their_reason(
    page: PageServer, data: bytes, status: int
) -> None:
    got = answer(page, data)
    assert got.status == status or (got.status, status) == (405, 413)
    assert b"expected: " in got.body
    assert got.headers["Content-Type"].startswith("text/plain")
    assert ("Allow" in got.headers) == (got.status == 405)
    assert get(page).status == 200


def test_a_request_that_never_ends_is_given_up(page: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    with socket.create_connection(page.address, timeout=5) as slow:
        begun = time.monotonic()
        slow.settimeout(0.05)
        received = b""
        for byte in PLAIN * 3:  # a byte now and then would keep a timeout between two bytes from ever passing
            slow.sendall(bytes([byte]) if byte not in b"\r\n" else b"x")
            try:
                received = slow.recv(4096)
                break
            except TimeoutError:
                assert get(page, "/icon.svg").status == 200
        assert b" 408 " in received
        assert time.monotonic() - begun < 2


# ---- the token ----


def test_a_token_opens_the_page_and_is_kept_in_a_cookie(open_page: Callable[..., PageServer]) -> None:
    page = open_page(token=TOKEN)
    cookie = f"asma_{page.address[1]}"
    for path in ("/", "/live", "/app.js", "/none"):
        got = get(page, path)
        assert got.status == 401
        assert b"?token=" in got.body
        assert TOKEN.encode() not in got.body
    for wrong in ("", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%00", "é"):
        assert get(page, f"/?token={wrong.encode().hex() if wrong == 'é' else wrong}").status == 401
        assert get(page, Cookie=f"{cookie}={wrong}").status == 401
    assert get(page, Cookie=f"asma_1={TOKEN}").status == 401
    assert get(page, Cookie='=;;"').status == 401
    got = get(page, f"/?token={TOKEN}")
    assert got.status == 200
    assert got.headers["Set-Cookie"] == f"{cookie}={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    assert get(page, "/app.js", Cookie=f"other=1; {cookie}={TOKEN}").status == 200
    assert get(page, "/", Cookie=f"{cookie}={TOKEN}", Host="evil.example").status == 403
    assert page.urls() == [f"http://127.0.0.1:{page.address[1]}/?token={TOKEN}"]


def test_beyond_loopback_there_always_is_a_token(open_page: Callable[..., PageServer]) -> None:
    page = open_page(host="0.0.0.0")
    assert page.guard.token is not None
    assert len(page.guard.token) >= 32
    assert all(url.endswith(f"/?token={page.guard.token}") for url in page.urls())
    assert get(page, Host="192.0.2.7").status == 401
    assert get(page, f"/?token={page.guard.token}", Host="192.0.2.7:80").status == 200
    assert get(page, f"/?token={page.guard.token}", Host=f"{socket.gethostname()}:80").status == 200
    assert get(page, f"/?token={page.guard.token}", Host="evil.example").status == 403
    assert make_guard("pi", "192.168.1.5", 1, None).token != make_guard("pi", "192.168.1.5", 1, None).token
    assert make_guard("localhost", "::1", 1, None).token is None


@pytest.mark.parametrize("token", ["", "short", "with blank in the middle", "ü" * 20, "a;b=c" * 5, "x" * 15 + "\n"])
def test_an_unusable_token_is_refused(output: PageOutput, token: str) -> None:
    with pytest.raises(AsmaError, match="unusable token") as caught:
        PageServer(output.hub, port=0, token=token)
    assert token == "" or token not in str(caught.value)


# ---- viewers ----


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


# ---- mutated requests ----

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


# ---- what cannot be served ----


def test_a_port_in_use_is_named(live: PageServer, output: PageOutput, capsys: pytest.CaptureFixture[str]) -> None:
    port = live.address[1]
    with pytest.raises(ServeError, match=f"port {port} is in use") as caught:
        PageServer(output.hub, port=port)
    assert f"--port {port + 1}" in caught.value.hint
    assert main(["serve", "irds9", "--source", "example", "--port", str(port)]) == BAD_INPUT
    assert f"port {port} is in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"host": "no-such-host.invalid"}, "has no address"),
        ({"host": "a..b"}, "has no address"),
        ({"host": "x" * 300}, "has no address"),
        ({"host": "192.0.2.1"}, "cannot listen"),
        ({"port": 65536}, "unusable port"),
        ({"port": -1}, "unusable port"),
        ({"port": True}, "unusable port"),
    ],
)
def test_an_impossible_address_is_refused(output: PageOutput, options: dict[str, Any], what: str) -> None:
    with pytest.raises(ServeError, match=what) as caught:
        PageServer(output.hub, **{"port": 0, **options})
    assert caught.value.expected


def test_missing_files_are_named(output: PageOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(server._FILES, "/", ("gone.html", "text/html"))
    with pytest.raises(ServeError, match=r"gone\.html"):
        PageServer(output.hub, port=0)


def test_a_token_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["serve", "irds9", "--source", "example", "--port", "0"]
    assert main([*arguments, "--token", f"@{tmp_path / 'none'}"]) == BAD_INPUT
    assert "cannot read the token" in capsys.readouterr().err
    assert main([*arguments, "--token", "short"]) == BAD_INPUT
    assert "unusable token" in capsys.readouterr().err


# ---- the command ----


@pytest.mark.parametrize(("number", "over"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGINT, True)])
def test_the_command_serves_until_a_signal(
    recording: list[PoseFrame], tmp_path: Path, number: signal.Signals, over: bool
) -> None:
    poses = tmp_path / "poses.jsonl"
    lines = [json.dumps({"t": frame.t, "pose": np.asarray(frame.poses[0]).tolist()}) for frame in recording]
    poses.write_text("\n".join(lines[: 15 if over else None]))
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    options = ["serve", "irds9", "--source", str(poses), "--port", "0", "--token", f"@{token}", "--json"]
    command = [sys.executable, "-m", "asma_edge", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        (url,) = json.loads(process.stdout.readline())["urls"]
        connection = http.client.HTTPConnection(url.split("/")[2], timeout=20)
        connection.request("GET", "/live", headers={"Cookie": f"asma_{url.split('/')[2].split(':')[1]}={TOKEN}"})
        answer = connection.getresponse()
        wanted = b"event: over" if over else b"event: frame"
        while (line := answer.readline()).strip() != wanted:
            assert line
        errors = ""
        while over and "the source is over" not in errors:  # viewers know it a little earlier
            said = process.stderr.readline()
            assert said
            errors += said
        process.send_signal(number)
        try:
            errors += process.communicate(timeout=20)[1]
        finally:
            process.kill()  # one that did not end must not keep the tests waiting
        connection.close()
    assert process.returncode == OK
    assert "Traceback" not in errors
    assert ("the source is over" in errors) == over
