"""MQTT: what is published where, with a fake client; and over a socket with paho where it is installed."""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from asma_edge import AsmaError
from asma_edge.builtin import builtin_path
from asma_edge.bundle import read_bundle
from asma_edge.cli import outputs
from asma_edge.cli.outputs import add_mqtt_options, open_mqtt
from asma_edge.extras import ExtraMissingError
from asma_edge.mqtt import MqttError, MqttPublisher
from asma_edge.repetitions import Repetition
from asma_edge.result import NO_SCORES, Result


def result(event: Any = None, label: str | None = "wave", t: float = 2.0, t_start: float | None = 1.0) -> Result:
    return Result(
        state="ready", label=label, index=0, score=0.9, scores=NO_SCORES, t_start=t_start, t=t, event=event,
        latency_ms=1.0, labels=("wave", "clap"),
    )  # fmt: skip


class FakeClient:
    """Takes what the publisher says to paho."""

    def __init__(self, connected: bool = True, room: int = 1000) -> None:
        self.connected, self.room, self.calls = connected, room, []  # type: ignore[var-annotated]
        self.sent: list[tuple[str, str, int, bool]] = []

    def is_connected(self) -> bool:
        return self.connected

    def publish(self, topic: str, payload: str, qos: int = 0, retain: bool = False) -> Any:
        if qos and len(self.sent) >= self.room:
            return SimpleNamespace(rc=15)
        self.sent.append((topic, payload, qos, retain))
        return SimpleNamespace(rc=0, wait_for_publish=lambda timeout: None)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *values, **named: self.calls.append((name, values, named))

    def called(self, name: str) -> Any:
        [call] = [call for call in self.calls if call[0] == name]
        return call[1]


def publisher(client: FakeClient, **options: Any) -> MqttPublisher:
    return MqttPublisher("broker", name="pi", client=client, labels=("wave", "clap"), **options)


def test_events_are_sent_once_and_the_state_is_kept() -> None:
    client = FakeClient()
    output = publisher(client)
    output.publish(0, result())  # nothing new
    assert client.sent == []
    output.publish(0, result("start"))
    output.publish(1, result("start", "clap", t_start=1.5))
    output.publish(0, result("end", t=4.25))
    events = [json.loads(payload) for topic, payload, _, _ in client.sent if topic == "asma-edge/pi/event"]
    assert [(e["event_type"], e["person"], e["label"]) for e in events] == [
        ("start", 0, "wave"), ("start", 1, "clap"), ("end", 0, "wave"),
    ]  # fmt: skip
    assert events[2]["duration"] == 3.25
    states = [json.loads(payload) for topic, payload, _, _ in client.sent if topic == "asma-edge/pi/state"]
    assert [state["action"] for state in states] == ["wave", "clap", "clap"]
    assert states[1]["people"] == [
        {"person": 0, "action": "wave", "since": 1.0}, {"person": 1, "action": "clap", "since": 1.5},
    ]  # fmt: skip
    kinds = {topic.rpartition("/")[2]: (qos, retain) for topic, _, qos, retain in client.sent}
    assert kinds == {"event": (1, False), "state": (0, True)}


def test_repetitions_are_counted() -> None:
    client = FakeClient()
    output = publisher(client)
    for number in (1, 2):
        repetition = Repetition(number, "wave", t_start=number, t_end=number + 0.5, score=0.8)
        output.publish(None, SimpleNamespace(event=None, repetition=repetition))  # type: ignore[arg-type]
    event, state = (json.loads(payload) for _, payload, _, _ in client.sent[-2:])
    assert (event["event_type"], event["number"], event["duration"], event["person"]) == ("repetition", 2, 0.5, None)
    assert (state["repetitions"], state["counts"]) == (2, {"wave": 2})


def test_the_device_is_announced_with_every_connection() -> None:
    client = FakeClient()
    output = publisher(client, model="irds9")
    output._connected(client, None, None, SimpleNamespace(is_failure=False))
    announced = {topic: json.loads(payload) for topic, payload, _, _ in client.sent if topic.startswith("home")}
    assert sorted(announced) == [
        f"homeassistant/{what}/config"
        for what in ("event/asma-edge-pi/event", "sensor/asma-edge-pi/action", "sensor/asma-edge-pi/repetitions")
    ]
    assert all(retain for _, _, _, retain in client.sent)
    assert len({message["unique_id"] for message in announced.values()}) == 3
    for message in announced.values():
        assert message["device"]["identifiers"] == ["asma-edge-pi"]
        assert message["availability_topic"] == "asma-edge/pi/availability"
    action = announced["homeassistant/sensor/asma-edge-pi/action/config"]
    assert (action["device_class"], action["options"]) == ("enum", ["none", "wave", "clap"])
    event = announced["homeassistant/event/asma-edge-pi/event/config"]
    assert (event["state_topic"], event["event_types"]) == ("asma-edge/pi/event", ["start", "end", "repetition"])
    assert client.sent[-1][:2] == ("asma-edge/pi/availability", "online")
    assert client.called("will_set") == ("asma-edge/pi/availability", "offline")
    alone = FakeClient()
    publisher(alone, home_assistant=False)._connected(alone, None, None, SimpleNamespace(is_failure=False))
    assert not [topic for topic, *_ in alone.sent if topic.startswith("home")]


def test_a_broker_that_is_away_is_reported_once_and_costs_nothing() -> None:
    client, said = FakeClient(connected=False, room=3), []  # type: ignore[var-annotated]
    output = publisher(client, queue=3, report=said.append)
    assert client.called("max_queued_messages_set") == (3,)
    output._unreachable(client, None)
    output._unreachable(client, None)
    assert len(said) == 1
    assert "broker:1883 cannot be reached" in said[0]
    for second in range(5):
        output.publish(0, result("start", t=second, t_start=second))
    assert output.dropped == 2
    assert {topic for topic, *_ in client.sent} == {"asma-edge/pi/event"}  # the state waits for a connection
    client.sent.clear()
    output._connected(client, None, None, SimpleNamespace(is_failure=False))
    assert json.loads({t: p for t, p, _, _ in client.sent}["asma-edge/pi/state"])["people"][0]["since"] == 4
    assert said[1:] == ["connected to the broker broker:1883"]
    output._disconnected(client, None, None, "lost", None)
    output._unreachable(client, None)
    assert len(said) == 3
    output.close()
    output.close()
    assert "2 events were dropped" in said[-1]


def test_a_refusal_says_why() -> None:
    class Reason(SimpleNamespace):
        def __str__(self) -> str:
            return "Not authorized"

    said: list[str] = []
    output = publisher(FakeClient(), report=said.append)
    for _ in range(3):
        output._connected(None, None, None, Reason(is_failure=True))
    assert said == ["the broker broker:1883 refuses the connection: Not authorized"]


def test_goodbye() -> None:
    client = FakeClient()
    with publisher(client) as output:
        output.publish(0, result("start"))
    assert client.sent[-1] == ("asma-edge/pi/availability", "offline", 1, True)
    assert json.loads(client.sent[-2][1])["people"] == []
    assert client.called("disconnect") == client.called("loop_stop") == ()
    count = len(client.sent)
    output.publish(0, result("end"))
    assert len(client.sent) == count


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"host": ""}, "host"),
        ({"host": "a b"}, "host"),
        ({"port": 0}, "port"),
        ({"port": 70000}, "port"),
        ({"topic": "a/#"}, "topic"),
        ({"topic": "/a"}, "topic"),
        ({"name": "living room"}, "name"),
        ({"name": ""}, "name"),
        ({"queue": 0}, "queue"),
        ({"ca_file": "ca.pem"}, "TLS"),
        ({"ca_file": "no such file", "tls": True}, "certificate authority"),
    ],
)
def test_unusable_settings_are_refused(options: dict[str, Any], what: str) -> None:
    with pytest.raises(MqttError, match=what):
        MqttPublisher(**{"host": "broker", "client": FakeClient(), **options})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ExtraMissingError, match=r"asma-edge\[mqtt\]"):
        MqttPublisher("broker")


# --- the options of commands


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_mqtt_options(parser)
    return parser.parse_args(arguments)


def opened(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(outputs, "MqttPublisher", lambda *values, **named: calls.append((values, named)))
    open_mqtt(parsed(*arguments), read_bundle(builtin_path("irds9")).info)
    [call] = calls
    return call


def test_options_become_a_publisher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert open_mqtt(parsed(), read_bundle(builtin_path("irds9")).info) is None
    monkeypatch.setenv(outputs.PASSWORD, "from the environment")
    address, options = opened(monkeypatch, "--mqtt", "house.local", "--mqtt-user", "pi")
    assert address == ("house.local", None)
    assert (options["username"], options["password"], options["model"]) == ("pi", "from the environment", "irds9")
    assert len(options["labels"]) == 9
    (tmp_path / "secret").write_text("from a file\nand more\n")
    address, options = opened(
        monkeypatch, "--mqtt", "[::1]:1884", "--mqtt-password-file", str(tmp_path / "secret"), "--no-home-assistant"
    )
    assert address == ("::1", 1884)
    assert (options["password"], options["home_assistant"]) == ("from a file", False)


@pytest.mark.parametrize("address", ["", "a:b", "a:99999", "pi:secret@house", "house/path", "mqtt://house", "a b:1:2"])
def test_bad_addresses_are_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MqttError) as error:
        open_mqtt(parsed("--mqtt", address), read_bundle(builtin_path("irds9")).info)
    assert "secret" not in str(error.value)


def test_a_password_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AsmaError, match="cannot read the password"):
        open_mqtt(
            parsed("--mqtt", "house", "--mqtt-password-file", str(tmp_path / "none")),
            read_bundle(builtin_path("irds9")).info,
        )


# --- over a socket


class Broker:
    """Enough of MQTT 3.1.1 to connect and to publish; it keeps what it gets, and may fall silent."""

    def __init__(self, port: int = 0) -> None:
        self.server = socket.create_server(("127.0.0.1", port), reuse_port=False)
        self.port = int(self.server.getsockname()[1])
        self.got: list[tuple[str, str]] = []
        self.will = self.silent = False
        self.links: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self.server.accept()
            except OSError:
                return
            self.links.append(link)
            threading.Thread(target=self._talk, args=(link,), daemon=True).start()

    def _talk(self, link: socket.socket) -> None:
        stream = link.makefile("rb")
        try:
            while head := stream.read(1):
                length = shift = 0
                while True:
                    byte = stream.read(1)[0]
                    length, shift = length | (byte & 127) << shift, shift + 7
                    if byte < 128:
                        break
                body, kind = stream.read(length), head[0] >> 4
                if kind == 1:  # CONNECT
                    self.will = bool(body[7] & 4)
                    link.sendall(bytes([0x20, 2, 0, 0]))
                elif kind == 3:  # PUBLISH
                    size = int.from_bytes(body[:2])
                    rest = body[2 + size :]
                    if head[0] & 6:
                        if not self.silent:
                            link.sendall(bytes([0x40, 2]) + rest[:2])
                        rest = rest[2:]
                    self.got.append((body[2 : 2 + size].decode(), rest.decode()))
        except OSError:
            pass

    def close(self) -> None:
        self.stop_listening()
        for link in self.links:
            with suppress(OSError):  # the other side may have gone first
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    def stop_listening(self) -> None:
        with suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)  # closing alone would leave a thread in accept(), and the port open
        self.server.close()


@pytest.fixture
def broker() -> Iterator[Broker]:
    pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt, of the extra [mqtt]")
    server = Broker()
    yield server
    server.close()


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_over_a_socket(broker: Broker) -> None:
    with MqttPublisher("127.0.0.1", broker.port, name="pi", home_assistant=False) as output:
        wait_for(lambda: ("asma-edge/pi/availability", "online") in broker.got)
        assert broker.will
        output.publish(0, result("start"))
        wait_for(lambda: [topic for topic, _ in broker.got if topic.endswith("/event")])
    wait_for(lambda: broker.got[-1] == ("asma-edge/pi/availability", "offline"))


def test_events_wait_for_a_broker_that_comes_later(broker: Broker) -> None:
    port, said = broker.port, []  # type: ignore[var-annotated]
    broker.stop_listening()
    output = MqttPublisher("127.0.0.1", port, name="pi", home_assistant=False, queue=2, report=said.append)
    wait_for(lambda: said)
    for second in range(4):
        output.publish(0, result("start", t_start=second))
    later = Broker(port)
    try:
        wait_for(lambda: len([topic for topic, _ in later.got if topic.endswith("/event")]) == 2)
        assert output.dropped == 2
        output.close()
    finally:
        later.close()


def test_a_broker_that_falls_silent_does_not_keep_the_program(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asma_edge.mqtt._CLOSING", 0.3)
    output = MqttPublisher("127.0.0.1", broker.port, name="pi", home_assistant=False)
    wait_for(lambda: ("asma-edge/pi/availability", "online") in broker.got)
    broker.silent = True
    started = time.monotonic()
    for second in range(300):
        output.publish(0, result("start", t_start=second))
    assert output.dropped == 200
    assert time.monotonic() - started < 2
    started = time.monotonic()
    output.close()
    assert time.monotonic() - started < 2
