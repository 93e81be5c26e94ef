"""What Home Assistant needs to know to show a recogniser that publishes over MQTT (its MQTT discovery).

A retained message to ``homeassistant/<component>/<device>/<entity>/config`` for each of: the action in progress
(sensor), starts, ends and repetitions (event), and how many repetitions there were (sensor).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asma_edge import __version__

EVENT_TYPES = ("start", "end", "repetition")
NO_ACTION = "none"


def discovery(
    prefix: str, base: str, name: str, model: str, labels: Sequence[str], availability: str
) -> dict[str, dict[str, Any]]:
    """{topic: JSON-ready message}.

    Args:
        prefix: Home Assistant's discovery prefix, usually ``homeassistant``.
        base: topic below which ``state`` and ``event`` are published.
        name: of the device, of letters, digits, ``-`` and ``_``.
        model: name of the recogniser's model.
        labels: class names.
        availability: topic of ``online`` and ``offline``.
    """
    device_id = f"asma-edge-{name}"
    common = {
        "availability_topic": availability,
        "device": {
            "identifiers": [device_id],
            "name": name,
            "manufacturer": "asma-edge",
            "model": model or "asma-edge",
            "sw_version": __version__,
        },
        "origin": {"name": "asma-edge", "sw_version": __version__},
    }
    entities: dict[tuple[str, str], dict[str, Any]] = {
        ("sensor", "action"): {
            "name": "Action",
            "icon": "mdi:run",
            "state_topic": f"{base}/state",
            "value_template": f"{{{{ value_json.action or '{NO_ACTION}' }}}}",
            "json_attributes_topic": f"{base}/state",
            **({"device_class": "enum", "options": list(dict.fromkeys([NO_ACTION, *labels]))} if labels else {}),
        },
        ("event", "event"): {
            "name": "Event",
            "icon": "mdi:gesture",
            "state_topic": f"{base}/event",
            "event_types": list(EVENT_TYPES),
        },
        ("sensor", "repetitions"): {
            "name": "Repetitions",
            "icon": "mdi:counter",
            "state_topic": f"{base}/state",
            "value_template": "{{ value_json.repetitions }}",
            "state_class": "total_increasing",
        },
    }
    return {
        f"{prefix}/{component}/{device_id}/{entity}/config": {
            "unique_id": f"{device_id}-{entity}",
            **common,
            **values,
        }
        for (component, entity), values in entities.items()
    }
