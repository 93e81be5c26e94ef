"""Where results go besides the terminal: an MQTT broker."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from urllib.parse import urlsplit

from asma_edge.bundle_info import BundleInfo
from asma_edge.mqtt import MqttError, MqttPublisher

PASSWORD = "ASMA_EDGE_MQTT_PASSWORD"


def add_mqtt_options(parser: argparse.ArgumentParser) -> None:
    """``--mqtt`` and what belongs to it."""
    group = parser.add_argument_group("MQTT (extra [mqtt])")
    group.add_argument("--mqtt", metavar="HOST[:PORT]", help="publish events and state to this broker")
    group.add_argument("--mqtt-topic", default="asma-edge", help="prefix of the topics (default %(default)s)")
    group.add_argument("--mqtt-name", help="of this device in topics and in Home Assistant (default: the host's name)")
    group.add_argument("--mqtt-user", help=f"user name; the password comes from a file or from ${PASSWORD}")
    group.add_argument("--mqtt-password-file", type=Path, metavar="FILE", help="its first line is the password")
    group.add_argument("--mqtt-tls", action="store_true", help="encrypt, and check the broker's certificate")
    group.add_argument("--mqtt-ca", type=Path, metavar="FILE", help="certificate authority of the broker, PEM")
    group.add_argument("--no-home-assistant", action="store_true", help="do not announce the device to Home Assistant")


def open_mqtt(options: argparse.Namespace, info: BundleInfo) -> MqttPublisher | None:
    """The publisher that the options ask for, if they do; it connects by itself.

    Args:
        options: parsed with `add_mqtt_options`.
        info: of the model.

    Raises:
        MqttError: an option is unusable, or the password's file is.
        ExtraMissingError: paho-mqtt is not installed.
    """
    if options.mqtt is None:
        return None
    host, port = _address(options.mqtt)
    return MqttPublisher(
        host,
        port,
        topic=options.mqtt_topic,
        name=options.mqtt_name,
        username=options.mqtt_user,
        password=_password(options.mqtt_password_file),
        tls=options.mqtt_tls,
        ca_file=options.mqtt_ca,
        home_assistant=not options.no_home_assistant,
        model=info.name,
        labels=[label for label in info.labels if label != info.idle_label],
    )


def _address(text: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.netloc == text and "@" not in text:
            return parts.hostname, parts.port
    except ValueError:
        pass  # the port is not a number, or not a port
    raise MqttError(
        "unusable broker for MQTT",
        expected="HOST or HOST:PORT, such as homeassistant.local or [::1]:1883",
        got="a user or a password in the address" if "@" in text else repr(text),
        hint=f"correct --mqtt; a user goes to --mqtt-user, a password to a file or ${PASSWORD}",
    )


def _password(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(PASSWORD)
    try:
        return (file.read_text(encoding="utf-8").splitlines() or [""])[0]
    except (OSError, UnicodeDecodeError) as error:
        raise MqttError(
            f"cannot read the password for MQTT from '{file}'",
            expected="a text file whose first line is the password",
            got=getattr(error, "strerror", None) or type(error).__name__,
            hint="check the path and who may read it",
        ) from error
