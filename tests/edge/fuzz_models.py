"""Mutated bundles with correct digests, and a child process that loads and runs them: may it never crash.

    python tests/edge/fuzz_models.py BUNDLE SEED FIRST LAST [--unchecked]

prints the number of each mutant before it is tried, so that whoever started it knows which one ended it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

SECONDS, BYTES = 20, 4 << 30  # for a mutant; virtual memory of the child

# The schema as far as models have it: {kind of table: {field: what it is}}; a string of one letter is a number as in
# `struct`, [letter] a vector of them, "text", a kind of table, or [kind].
SCHEMA: dict[str, dict[int, Any]] = {
    "Model": {0: "I", 1: ["Code"], 2: ["SubGraph"], 3: "text", 4: ["Buffer"], 7: ["Signature"]},
    "Code": {0: "b", 2: "i", 3: "i"},
    "SubGraph": {0: ["Tensor"], 1: ["i"], 2: ["i"], 3: ["Operator"], 4: "text"},
    "Tensor": {0: ["i"], 1: "b", 2: "I", 3: "text", 4: "Quantization"},
    "Quantization": {2: ["f"], 3: ["q"], 6: "i"},
    "Buffer": {0: ["B"]},
    "Operator": {0: "I", 1: ["i"], 2: ["i"], 3: "B", 4: "Options"},
    "Options": {},  # differ by operator: taken as numbers of the width they have
    "Signature": {0: ["Entry"], 1: ["Entry"], 2: "text", 4: "I"},
    "Entry": {0: "text", 1: "I"},
}


class Place(NamedTuple):
    """A number in the file."""

    position: int
    form: str


class Map:
    """Where the numbers of a model are: {what: places}."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        self.groups: dict[str, list[Place]] = {}
        self._seen: set[int] = set()
        self._table("Model", self._unpack("I", 0))

    def _unpack(self, form: str, position: int) -> int:
        return int(struct.unpack_from("<" + form, self.model, position)[0])

    def _note(self, group: str, position: int, form: str) -> None:
        self.groups.setdefault(group, []).append(Place(position, form))

    def _table(self, kind: str, start: int) -> None:
        slots = start - self._unpack("i", start)
        self._note(f"{kind} slots", start, "i")
        length = self._unpack("H", slots)
        for field in range((length - 4) // 2):
            place = slots + 4 + 2 * field
            first = self._unpack("H", place)
            if place not in self._seen:
                self._seen.add(place)
                self._note(f"{kind} slot", place, "H")
            if first:
                what = SCHEMA[kind].get(field, "i" if kind == "Options" else None)
                assert what is not None, (kind, field)
                self._field(f"{kind}.{field}", what, start + first)

    def _field(self, name: str, what: Any, place: int) -> None:
        if isinstance(what, str) and len(what) == 1:
            form = what if place % struct.calcsize(what) == 0 else "b"
            self._note(name, place, form)
            return
        start = place + self._unpack("I", place)
        self._note(f"{name} offset", place, "I")
        if what == "text":
            self._note(f"{name} length", start, "I")
            self._note(f"{name} text", start + 4, "B")
        elif isinstance(what, str):
            self._table(what, start)
        else:
            count, (item,) = self._unpack("I", start), what
            self._note(f"{name} length", start, "I")
            if len(item) > 1:
                for position in range(start + 4, start + 4 + 4 * count, 4):
                    self._note(f"{name} entry", position, "I")
                    self._table(item, position + self._unpack("I", position))
            elif name == "Buffer.0":
                if count % 4 == 0 and count <= 16:  # shapes, axes and the like
                    for position in range(start + 4, start + 4 + count, 4):
                        self._note("short constant", position, "i")
                else:
                    self._note("long constant", start + 4, "B")
            else:
                size = struct.calcsize(item)
                for index in range(count):
                    self._note(name, start + 4 + index * size, item)


_FLOATS = (0.0, -0.0, -1.0, 1.0, float("nan"), float("inf"), float("-inf"), 1e-45, 1e-38, 1e-20, 1e-6, 1e6, 1e20, 3e38)
_WHOLE = (0, 1, -1, 2, 3, 4, 5, 7, 8, 64, 127, 128, -128, 255, 256, 32767, 65535, 1 << 20, 1 << 24, (1 << 31) - 1)


def mutate(places: Map, random_: random.Random) -> bytes:
    """The model with one to three numbers changed, or a few bytes."""
    data = bytearray(places.model)
    if random_.random() < 0.1:
        for _ in range(random_.randint(1, 4)):
            data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
        return bytes(data)
    for _ in range(random_.choice((1, 1, 1, 2, 3))):
        group = places.groups[random_.choice(sorted(places.groups))]
        place = random_.choice(group)
        old = struct.unpack_from("<" + place.form, data, place.position)[0]
        other = struct.unpack_from("<" + place.form, data, random_.choice(group).position)[0]
        if place.form == "f":
            new = random_.choice((*_FLOATS, old * 2.0 ** random_.randint(-60, 60), -old, other))
        else:
            new = random_.choice(
                (*_WHOLE, old + 1, old - 1, old * 2, old // 2, old ^ 1, other, other, random_.getrandbits(31))
            )
            bits = 8 * struct.calcsize(place.form)
            new %= 1 << bits
            if place.form.islower() and new >= 1 << (bits - 1):
                new -= 1 << bits
        try:
            struct.pack_into("<" + place.form, data, place.position, new)
        except OverflowError:  # beyond float32
            struct.pack_into("<f", data, place.position, float("inf"))
    return bytes(data)


def parts(path: Path) -> tuple[bytes, dict[str, bytes]]:
    """(model, {name: content of each part})."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return path.read_bytes()[: json.loads(members["asma.json"])["model_bytes"]], members


def seal(model: bytes, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A bundle whose digests are right."""
    values = json.loads(members["asma.json"])
    values |= {"model_bytes": len(model), "model_sha256": hashlib.sha256(model).hexdigest()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.comment = b"0" * 64
        for name, content in (members | {"asma.json": json.dumps(values).encode()}).items():
            archive.writestr(name, content)
    body = model + buffer.getvalue()[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def run(path: Path) -> str:
    """Load a bundle and use it; "refused" or "ran"."""
    from asma_edge.bundle import read_bundle
    from asma_edge.errors import AsmaError
    from asma_edge.runtime import Runtime

    try:
        bundle = read_bundle(path)
        runtime, golden = Runtime(bundle), bundle.golden
        clip = runtime.clip_model()
        for index in range(2):
            clip({stream: golden[f"input.{stream}"][index] for stream in bundle.info.streams})
        if bundle.info.mode == "stream":
            model = runtime.stream_model()
            for index in range(3):
                part = slice(index, index + bundle.info.hop)
                model.step({stream: golden[f"input.{stream}"][0][part] for stream in bundle.info.streams})
    except AsmaError:
        return "refused"
    return "ran"


def mutants_of(path: Path, seed: int) -> Any:
    """number -> bytes of a mutated bundle; one in ten is mutated outside of the model."""
    model, members = parts(path)
    places = Map(model)

    def make(number: int) -> bytes:
        random_ = random.Random(f"{seed}-{number}")
        if number % 10:
            return seal(mutate(places, random_), members)
        name = random_.choice(("asma.json", "golden.npz"))
        content = bytearray(members[name])
        for _ in range(random_.randint(1, 3)):
            content[random_.randrange(len(content))] = random_.choice(
                (*b'0123456789-.,"eN[]{}', random_.randrange(256))
            )
        try:
            return seal(model, members | {name: bytes(content)})
        except ValueError:  # no JSON any more: the other part will do
            return seal(model, members | {"card.md": bytes(content)})

    return make


class Outcome(NamedTuple):
    """What became of the mutants."""

    refused: int
    ran: int
    crashed: list[tuple[int, str]]  # number, and how the child ended

    @property
    def tried(self) -> int:
        return self.refused + self.ran + len(self.crashed)


def fuzz(path: Path, seed: int, count: int, *, checked: bool = True) -> Outcome:
    """Try mutants in children; after a crash, the next child goes on."""
    refused = ran = first = 0
    crashed: list[tuple[int, str]] = []
    while first < count:
        command = [sys.executable, __file__, str(path), str(seed), str(first), str(count)]
        child = subprocess.run(
            command + ([] if checked else ["--unchecked"]), capture_output=True, text=True, env=os.environ, check=False
        )
        lines = child.stdout.split()
        refused, ran = refused + lines.count("refused"), ran + lines.count("ran")
        if child.returncode == 0:
            break
        number = int([line for line in lines if line.isdigit()][-1])
        why = signal.Signals(-child.returncode).name if child.returncode < 0 else child.stderr.splitlines()[-1]
        crashed.append((number, why))
        first = number + 1
    return Outcome(refused, ran, crashed)


def main() -> None:
    """The child."""
    path, seed, first, last = Path(sys.argv[1]), *(int(argument) for argument in sys.argv[2:5])
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "--unchecked" in sys.argv:
        import asma_edge.runtime

        asma_edge.runtime.check_model = lambda model: None  # type: ignore[attr-defined]
    make = mutants_of(path, seed)
    with tempfile.TemporaryDirectory() as folder:
        mutant = Path(folder) / "mutant.tflite"
        for number in range(first, last):
            print(number, flush=True)
            mutant.write_bytes(make(number))
            signal.alarm(SECONDS)
            print(run(mutant), flush=True)


if __name__ == "__main__":
    main()
