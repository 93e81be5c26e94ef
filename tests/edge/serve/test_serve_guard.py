"""Whom the page of `asma-edge serve` refuses."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest
from page_client import PLAIN, TOKEN, answer, get

from asma_edge import AsmaError
from asma_edge.serve import PageOutput, PageServer, server
from asma_edge.serve.guard import make_guard
from asma_edge.serve.request import MAX_HEAD, MAX_HEADERS, MAX_LINE


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
