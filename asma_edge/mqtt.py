"""Results over MQTT, for Home Assistant and everything else that speaks it (extra ``[mqtt]``: paho-mqtt).

Topics below ``<topic>/<name>``:

``event``         each start, end and repetition as JSON, once (QoS 1, not retained)
``state``         who does what now, and how many repetitions there were, as JSON (retained)
``availability``  ``online`` or ``offline`` (retained; the broker says ``offline`` where the program cannot)

The network has a thread of its own, which connects again for as long as it takes. What happens meanwhile waits in a
queue of limited length; `publish` never waits.
"""

from __future__ import annotations

import json
import platform
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from asma_edge.errors import AsmaError
from asma_edge.extras import require
from asma_edge.home_assistant import discovery
from asma_edge.repetitions import Repetition
from asma_edge.result import Result

PORT, TLS_PORT = 1883, 8883
QUEUE = 100  # events
_KEEP_ALIVE = 30  # seconds after which a silent connection counts as lost
_LONGEST_WAIT = 30  # seconds between two attempts to connect
_CLOSING = 2.0  # seconds that `close` waits for the last message, and again for the network's thread
_QUEUE_FULL = 15  # paho's return code
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOPIC = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_DIGITS = 3


class MqttError(AsmaError):
    """A setting with which nothing can be published."""


class MqttPublisher:
    """Publishes what is recognised; make one for a recogniser, and give it every result.

    A broker that cannot be reached is reported, now and then tried again, and never waited for.

    >>> with MqttPublisher("homeassistant.local", username="pi", password=secret, labels=recognizer.labels) as output:
    ...     for person, result in people.update(poses, timestamp):
    ...         output.publish(person, result)

    Args:
        host: of the broker.
        port: 1883 by default, 8883 with ``tls``.
        topic: prefix of all topics.
        name: of this device, in topics and in Home Assistant: letters, digits, ``-`` and ``_``; the host's by default.
        username, password: where the broker asks for them.
        tls: encrypt, and check the broker's certificate.
        ca_file: certificate authority of the broker where the system does not know it; needs ``tls``.
        home_assistant: announce the device to Home Assistant, below its discovery prefix ``homeassistant``.
        model: name of the model, for Home Assistant.
        labels: class names, for Home Assistant.
        queue: events that wait while the broker is away; newer ones are dropped, and counted.
        report: is told of connections made, lost and refused; prints to standard error by default.
        client: a paho client, instead of a new one.

    Attributes:
        dropped: events that found the queue full.

    Raises:
        MqttError: a setting is unusable.
        ExtraMissingError: paho-mqtt is not installed.
    """

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        topic: str = "asma-edge",
        name: str | None = None,
        username: str | None = None,
        password: str | None = None,
        tls: bool = False,
        ca_file: str | Path | None = None,
        home_assistant: bool = True,
        model: str = "",
        labels: Sequence[str] = (),
        queue: int = QUEUE,
        report: Callable[[str], None] | None = None,
        client: Any = None,
    ) -> None:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", platform.node())[:64] or "device" if name is None else name
        port = (TLS_PORT if tls else PORT) if port is None else port
        _check(host, port, topic, name, queue)
        if ca_file is not None and not tls:
            raise MqttError("a CA file without TLS", expected="tls with it", got=str(ca_file), hint="switch TLS on")
        self.base, self.dropped = f"{topic}/{name}", 0
        self._broker, self._report = f"{host}:{port}", report or _print
        self._announced = (
            discovery("homeassistant", self.base, name, model, labels, f"{self.base}/availability")
            if home_assistant
            else {}
        )
        self._actions: dict[int | None, tuple[str, float]] = {}
        self._counts: dict[str, int] = {}
        self._state = self._describe()
        self._trouble = ""
        self._lock, self._closed = threading.Lock(), False
        self._client = client if client is not None else _paho(f"asma-edge-{name}")
        self._connect(host, port, username, password, tls, ca_file, queue)

    def __enter__(self) -> MqttPublisher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def frame(self, _: object, results: Sequence[tuple[int | None, Result]]) -> None:
        """Publish the results of a frame, as an output of `asma_edge.pipeline`."""
        for person, result in results:
            self.publish(person, result)

    def publish(self, person: int | None, result: Result) -> None:
        """Publish what is new in a result; returns at once. Threads may call it.

        Args:
            person: the person's number; None where there is only one.
            result: any result, also one without news.
        """
        repetition = result.repetition
        if result.event is None and repetition is None:
            return
        with self._lock:
            if not self._closed:
                self._take(person, result, repetition)

    def close(self) -> None:
        """Say goodbye; waits some seconds at most."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._actions.clear()
        if self._client.is_connected():
            self._client.publish(f"{self.base}/state", self._describe(), qos=0, retain=True)
            last = self._client.publish(f"{self.base}/availability", "offline", qos=1, retain=True)
            if last.rc == 0:
                last.wait_for_publish(_CLOSING)
        self._client.disconnect()
        # A broker that has fallen silent must not keep the program: its thread is left to end with it.
        stopping = threading.Thread(target=self._client.loop_stop, daemon=True)
        stopping.start()
        stopping.join(_CLOSING)
        if self.dropped:
            self._report(f"{self.dropped} events were dropped while the broker {self._broker} was away")

    def _take(self, person: int | None, result: Result, repetition: Repetition | None) -> None:
        if result.event == "start" and result.label is not None and result.t_start is not None:
            self._actions[person] = (result.label, result.t_start)
        elif result.event == "end":
            self._actions.pop(person, None)
        if result.event is not None:
            ended = result.event == "end" and result.t_start is not None
            self._send_event(
                person,
                result.event,
                label=result.label,
                score=_rounded(result.score),
                t_start=_rounded(result.t_start),
                t=_rounded(result.t),
                **({"duration": _rounded(result.t - (result.t_start or 0.0))} if ended else {}),
            )
        if repetition is not None:
            if repetition.label is not None:
                self._counts[repetition.label] = self._counts.get(repetition.label, 0) + 1
            self._send_event(
                person,
                "repetition",
                label=repetition.label,
                number=repetition.number,
                score=_rounded(repetition.score),
                quality=_rounded(repetition.quality),
                t_start=_rounded(repetition.t_start),
                t=_rounded(repetition.t_end),
                duration=_rounded(repetition.duration),
            )
        self._state = self._describe()
        if self._client.is_connected():  # else it is sent when there is a connection again
            self._client.publish(f"{self.base}/state", self._state, qos=0, retain=True)

    def _connect(
        self,
        host: str,
        port: int,
        username: str | None,
        password: str | None,
        tls: bool,
        ca_file: str | Path | None,
        queue: int,
    ) -> None:
        client = self._client
        client.will_set(f"{self.base}/availability", "offline", qos=1, retain=True)
        client.max_queued_messages_set(queue)
        client.reconnect_delay_set(1, _LONGEST_WAIT)
        if username is not None:
            client.username_pw_set(username, password)
        if tls:
            client.tls_set_context(_tls_context(ca_file))
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_connect_fail = self._unreachable
        client.connect_async(host, port, keepalive=_KEEP_ALIVE)
        client.loop_start()

    def _connected(self, client: Any, _data: object, _flags: object, reason: Any, _properties: object = None) -> None:
        """In the network's thread: the broker has answered."""
        if reason.is_failure:
            self._say(f"the broker {self._broker} refuses the connection: {reason}")
            return
        for topic, message in self._announced.items():
            client.publish(topic, json.dumps(message), qos=0, retain=True)
        client.publish(f"{self.base}/state", self._state, qos=0, retain=True)
        client.publish(f"{self.base}/availability", "online", qos=0, retain=True)
        if self._trouble:
            self._trouble = ""
            self._report(f"connected to the broker {self._broker}")

    def _disconnected(self, _client: object, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        if not self._closed and not self._trouble:
            self._say(f"the broker {self._broker} is gone ({reason}); trying again")

    def _unreachable(self, _client: object, _data: object) -> None:
        if not self._trouble:
            error = sys.exception()  # paho calls this where it handles the error, and does not pass it on
            self._say(f"the broker {self._broker} cannot be reached ({error or 'no answer'}); trying again")

    def _say(self, trouble: str) -> None:
        """Report a trouble once, not with every attempt."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._report(trouble)

    def _send_event(self, person: int | None, event: str, **values: object) -> None:
        message = {"event_type": event, "person": person, **values, "time": round(time.time(), _DIGITS)}
        sent = self._client.publish(f"{self.base}/event", json.dumps(message), qos=1)
        self.dropped += sent.rc == _QUEUE_FULL

    def _describe(self) -> str:
        """The state as JSON; the action of a whole house is the one that began last."""
        latest = max(self._actions.values(), key=lambda action: action[1], default=None)
        people = [
            {"person": person, "action": action, "since": _rounded(since)}
            for person, (action, since) in self._actions.items()
        ]
        return json.dumps(
            {
                "action": None if latest is None else latest[0],
                "people": people,
                "repetitions": sum(self._counts.values()),
                "counts": self._counts,
            }
        )


def _paho(client_id: str) -> Any:
    paho = require("paho.mqtt.client", "mqtt")
    versions = require("paho.mqtt.enums", "mqtt")  # paho-mqtt 2
    return paho.Client(versions.CallbackAPIVersion.VERSION2, client_id=client_id)


def _tls_context(ca_file: str | Path | None) -> Any:
    import ssl  # takes longer to load than everything else here, and few need it

    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:
        raise MqttError(
            f"cannot use the certificate authority '{ca_file}'",
            expected="a file in PEM format",
            got=error.strerror or str(error),
            hint="give the broker's CA certificate",
        ) from error


def _check(host: str, port: int, topic: str, name: str, queue: int) -> None:
    for wrong, what, value, expected in (
        (not host or host.split() != [host], "host", host, "a host name or address"),
        (not 1 <= port <= 65535, "port", port, "1 to 65535"),
        (_TOPIC.fullmatch(topic) is None, "topic", topic, "letters, digits, - and _, in parts separated by /"),
        (_NAME.fullmatch(name) is None, "name", name, "1 to 64 letters, digits, - and _"),
        (queue < 1, "queue", queue, "1 or more events"),
    ):
        if wrong:
            raise MqttError(f"unusable {what} for MQTT", expected=expected, got=repr(value), hint=f"correct the {what}")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(float(seconds), _DIGITS)


def _print(text: str) -> None:
    print(f"mqtt: {text}", file=sys.stderr, flush=True)
