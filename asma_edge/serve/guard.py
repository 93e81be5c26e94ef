"""Who may see the page: the right name of this host, the page's own origin, and the token where one is set."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from asma_edge.errors import AsmaError
from asma_edge.serve.request import Request, RequestError

MIN_TOKEN = 16
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")  # the same in a URL, a cookie and a shell
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.-]{1,253})(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Guard:
    """Checks of a request that have nothing to do with what it asks for.

    Attributes:
        names: host names, lower-case, under which a browser may reach the page.
        addresses: whether it may also reach it under any IP address. A page under a foreign name whose DNS answer
            was turned to this host (rebinding) still sends the foreign name.
        token: what a visitor must show; None: nothing.
        cookie: name under which a browser keeps the token; cookies are shared by all ports of a host.
    """

    names: frozenset[str]
    addresses: bool
    token: str | None
    cookie: str

    def check(self, request: Request) -> None:
        """Let a request pass.

        Raises:
            RequestError: 403: wrong Host, or a request made by another site; 401: no token, or a wrong one.
        """
        self._check_host(request.headers.get("host", ""))
        self._check_origin(request)
        if self.token is not None and not any(_same(given, self.token) for given in self._given(request)):
            raise RequestError(
                401,
                "this page needs its token",
                expected="the address with ?token=... that asma-edge serve printed at its start",
                got="no token, or a wrong one",
                hint="open that address once; this browser then remembers it",
            )

    def set_cookie(self, request: Request) -> str | None:
        """Value of Set-Cookie that makes the browser remember a token that came in the address; None: nothing to do."""
        if self.token is None or "token" not in request.query:
            return None
        return f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"

    def _check_host(self, host: str) -> None:
        match = _HOST.fullmatch(host)
        name = match[1].lower().removesuffix(".") if match else ""
        if name in self.names or (self.addresses and _is_address(name)):
            return
        raise RequestError(
            403,
            "the page is not served under this name",
            expected=", ".join(sorted(self.names)) + (", or an IP address" if self.addresses else ""),
            got=repr(host[:80]),
            hint="open the address that asma-edge serve printed",
        )

    def _check_origin(self, request: Request) -> None:
        """Refuse what other sites' pages make a browser send; a person who follows a link to the page is welcome."""
        headers = request.headers
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        link = request.path == "/" and headers.get("sec-fetch-dest") == "document"
        own = origin is None or origin.lower() == f"http://{headers['host'].lower()}"
        if own and (site in ("same-origin", "none") or link):
            return
        raise RequestError(
            403,
            "another site may not read the page",
            expected="a request by the page itself",
            got=f"origin {origin[:80]!r}" if not own and origin else f"a request from a {site[:20]} page",
        )

    def _given(self, request: Request) -> list[str]:
        given = [request.query["token"]] if "token" in request.query else []
        try:
            jar = SimpleCookie(request.headers.get("cookie", ""))
        except CookieError:
            return given
        return given + ([jar[self.cookie].value] if self.cookie in jar else [])


def make_guard(host: str, address: str, port: int, token: str | None) -> Guard:
    """The guard of a page that listens at ``address``.

    Args:
        host: as the user gave it.
        address: what it was resolved to.
        port: of the page.
        token: at least 16 of A-Z a-z 0-9 _ -; None: none on a loopback address, a random one on any other.

    Raises:
        AsmaError: the token is too short, or has other characters.
    """
    if token is not None and (len(token) < MIN_TOKEN or not _TOKEN.fullmatch(token)):
        raise AsmaError(
            "unusable token",
            expected=f"at least {MIN_TOKEN} characters of A-Z a-z 0-9 _ -",
            got=f"{len(token)} characters" + ("" if _TOKEN.fullmatch(token) else ", some of them others"),
            hint="leave --token out: one is made where it is needed",
        )
    names = {"localhost", "127.0.0.1", "[::1]", host.lower(), f"[{address}]" if ":" in address else address}
    loopback = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    if not loopback:
        own = socket.gethostname().lower()
        names |= {own, own.partition(".")[0], own.partition(".")[0] + ".local"}
        token = token or secrets.token_urlsafe(24)
    return Guard(frozenset(names), not loopback, token, f"asma_{port}")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _same(given: str, token: str) -> bool:
    """Compared in a time that does not tell how much of it was right."""
    return hmac.compare_digest(given.encode(), token.encode())
