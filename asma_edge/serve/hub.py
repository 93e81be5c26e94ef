"""From one recogniser to a few browsers: each gets the newest messages, and none can make the recogniser wait."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

MAX_CLIENTS = 8
_FRAMES = 4  # that wait for a slow client; older ones are dropped
_EVENTS = 200  # that wait for a slow client

Greeting = list[tuple[str, dict[str, Any]]]


class Client:
    """One browser's mailbox: `put` never waits, `take` does.

    Args:
        greeting: the (kind, values) with which it begins; the client's own thread writes them out.
    """

    def __init__(self, greeting: Greeting) -> None:
        self._greeting = greeting
        self._changed = threading.Condition()
        self._events: deque[bytes] = deque(maxlen=_EVENTS)
        self._frames: deque[bytes] = deque(maxlen=_FRAMES)
        self._closed = False

    def put(self, kind: str, message: bytes) -> None:
        """Keep a message; a frame may push out an older frame, any other kind is kept before it."""
        with self._changed:
            (self._frames if kind == "frame" else self._events).append(message)
            self._changed.notify()

    def close(self) -> None:
        """No more messages will come."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self, seconds: float) -> bytes | None:
        """All that waits; empty if nothing comes within ``seconds``; None once the hub is closed."""
        with self._changed:
            self._changed.wait_for(self._ready, seconds)
            if self._closed:
                return None
            messages = [*self._events, *self._frames]
            self._events.clear()
            self._frames.clear()
        greeting, self._greeting = self._greeting, []
        return b"".join([*(encode(kind, values) for kind, values in greeting), *messages])

    def _ready(self) -> bool:
        return bool(self._greeting or self._events or self._frames or self._closed)


class Hub:
    """The clients there are.

    Args:
        greeting: what a client is told first, in values that nobody changes later; called with ``lock`` held, so that
            nothing is published between it and the client's first live message.

    Attributes:
        lock: hold it to change what the greeting tells, together with what is published about it.
    """

    def __init__(self, greeting: Callable[[], Greeting]) -> None:
        self.lock = threading.RLock()
        self._greeting = greeting
        self._clients: set[Client] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._clients)

    def join(self) -> Client | None:
        """A new client; None if there are as many as may be."""
        with self.lock:
            if len(self._clients) >= MAX_CLIENTS or self._closed:
                return None
            client = Client(self._greeting())
            self._clients.add(client)
            return client

    def leave(self, client: Client) -> None:
        """The client has gone."""
        with self.lock:
            self._clients.discard(client)

    def publish(self, kind: str, values: dict[str, Any]) -> None:
        """Send a message to everybody who is there."""
        with self.lock:
            if self._clients:
                message = encode(kind, values)
                for client in self._clients:
                    client.put(kind, message)

    def close(self) -> None:
        """Let every client go, and take no new one."""
        with self.lock:
            self._closed = True
            for client in self._clients:
                client.close()


def encode(kind: str, values: dict[str, Any]) -> bytes:
    """A Server-Sent Event: its kind, and one line of JSON without NaN."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return f"event: {kind}\ndata: {text}\n\n".encode()
