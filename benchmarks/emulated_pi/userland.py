"""Builds and runs an aarch64 userland on an x86-64 Debian: real packages and wheels under ``qemu-aarch64``.

No root rights, no image, no change of the host: the folder of a userland holds Debian's Python for arm64, unpacked, and
the wheels that pip would choose on the board. QEMU runs one process of it (user mode) and shows it that folder's files
in place of the host's; what the folder lacks, the program sees of the host.

Needed: ``qemu-aarch64`` (package qemu-user), ``apt-get`` with the host's own package sources, ``dpkg-deb``, ``tar``,
and pip with its index; to count instructions also ``gcc`` and a QEMU whose plugins are of API 1, as Debian 12's are.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# Raspberry Pi OS follows Debian: its Pythons, and the release of each.
PYTHONS: Mapping[str, str] = {"3.11": "bookworm", "3.13": "trixie"}
DEFAULT_PYTHON = "3.11"
_PACKAGES = ("python3", "libstdc++6")
_WHEELS = ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28", "manylinux_2_34")
_PARTS = ("asma_edge", "trainer", "converters", "pyproject.toml", "README.md", "LICENSE")  # what a wheel is built from
_MARK = struct.Struct("=Q")
_PLUGIN = Path(__file__).with_name("instructions.c")
_TIMEOUT = 900.0  # seconds of any step
_KEEP = 86400.0  # seconds after which a folder of other contents is removed
_COMPLETE = "complete"


@dataclass(frozen=True)
class Processor:
    """What /proc/cpuinfo of a board says. LiteRT chooses its kernels by it, so it must fit what QEMU emulates."""

    qemu: str
    part: str
    revision: tuple[str, str]  # variant, revision
    features: str


# Raspberry Pi 4 and 5.
PROCESSORS: Mapping[str, Processor] = {
    "a72": Processor("cortex-a72", "0xd08", ("0x0", "3"), "fp asimd evtstrm crc32 cpuid"),
    "a76": Processor(
        "cortex-a76", "0xd0b", ("0x4", "1"),
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
}  # fmt: skip


class EmulationError(Exception):
    """The board cannot be emulated here, or a program failed on it; the message says why."""


@dataclass(frozen=True)
class Userland:
    """A userland with asma-edge installed.

    Attributes:
        folder: of Debian's packages and the dependencies' wheels; shared by all versions of asma-edge.
        python: its version, such as ``3.11``.
        package: folder of the installed wheel of asma-edge.
    """

    folder: Path
    python: str
    package: Path

    def run(self, processor: str, arguments: Sequence[str], *, timeout: float = _TIMEOUT) -> str:
        """Run the emulated Python in one thread and return its standard output.

        Raises:
            EmulationError: it failed; the message ends with what it said.
        """
        return self._run(processor, arguments, (), timeout)

    def count(self, processor: str, arguments: Sequence[str], *, timeout: float = _TIMEOUT) -> tuple[str, list[int]]:
        """Run the emulated Python and count instructions.

        Returns:
            standard output, and the instructions executed up to each call of ``os.getppid()``.

        Raises:
            EmulationError: it failed, or nothing can be counted here.
        """
        with tempfile.TemporaryDirectory() as temporary:
            library, marks = Path(temporary) / "libinstructions.so", Path(temporary) / "marks"
            _call([_tool("gcc", "gcc"), "-O2", "-shared", "-fPIC", "-o", str(library), str(_PLUGIN)])
            # -R: memory at the same addresses each time, on which the steps of copies and of sets of objects depend.
            fixed = [_tool("setarch", "util-linux"), "-R"]
            output = self._run(processor, arguments, ("-plugin", f"{library},marks={marks}"), timeout, fixed)
            if not marks.exists():
                raise EmulationError("nothing was counted: this QEMU does not take plugins of API 1")
            return output, [count for (count,) in _MARK.iter_unpack(marks.read_bytes())]

    def _run(
        self,
        processor: str,
        arguments: Sequence[str],
        options: Sequence[str],
        timeout: float,
        before: Sequence[str] = (),
    ) -> str:
        root = self.folder / processor
        command = [*before, _qemu(), "-cpu", PROCESSORS[processor].qemu, *options, "-L", str(root)]
        # -S, -P: no packages of the host, and none beside the program. One thread, equal hashes: equal counts.
        command += [str(root / f"usr/bin/python{self.python}"), "-S", "-P", *arguments]
        environment = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{self.package}:{self.folder / 'site'}",
            "PYTHONHASHSEED": "0",
            "OPENBLAS_NUM_THREADS": "1",
        }
        return _call(command, environment=environment, timeout=timeout)


def build_userland(python: str, checkout: Path, cache: Path | None = None) -> Userland:
    """Build a userland, or take one that was built before, and install asma-edge in it.

    Args:
        python: one of `PYTHONS`.
        checkout: of asma-edge; its wheel is built from the files as they are now.
        cache: folder to build in; ``asma-edge/emulated-pi`` of the user's cache folder by default. About 200 MB each.

    Raises:
        EmulationError: something that it takes is missing, or a step failed.
    """
    cache = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asma-edge" / "emulated-pi"
    _qemu()
    dependencies = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["dependencies"]
    # Another way of building, or other dependencies, is another userland.
    digest = hashlib.sha256(Path(__file__).read_bytes() + repr(dependencies).encode()).hexdigest()[:12]
    folder = cache / f"{PYTHONS[python]}-{python}-{digest}"
    if not (folder / _COMPLETE).exists():
        _appear(folder, lambda place: _build(place, python, dependencies))
    return Userland(folder, python, _install(checkout, cache))


def _build(folder: Path, python: str, dependencies: Sequence[str]) -> None:
    root = folder / "root"
    for name in ("bin", "sbin", "lib"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    with tempfile.TemporaryDirectory() as temporary:
        for package in _download(PYTHONS[python], Path(temporary)):
            archive = subprocess.Popen([_tool("dpkg-deb", "dpkg"), "--fsys-tarfile", package], stdout=subprocess.PIPE)
            with archive:
                _call([_tool("tar", "tar"), "-x", "--keep-directory-symlink", "-C", str(root)], stdin=archive.stdout)
            if archive.returncode:
                raise EmulationError(f"cannot unpack {package.name}")
    platforms = [word for wheel in _WHEELS for word in ("--platform", f"{wheel}_aarch64")]
    _pip(folder / "site", "--only-binary=:all:", *platforms, "--python-version", python, *dependencies)
    for name, processor in PROCESSORS.items():
        view = folder / name
        (view / "proc").mkdir(parents=True)
        for entry in root.iterdir():
            (view / entry.name).symlink_to(Path("..") / "root" / entry.name)
        (view / "proc" / "cpuinfo").write_text(_cpuinfo(processor))


def _download(suite: str, folder: Path) -> list[Path]:
    """Debian packages for arm64 and all that they depend on, by the host's package manager in a folder of its own."""
    for name in ("lists/partial", "archives/partial", "sources"):
        (folder / name).mkdir(parents=True)
    for name, text in _sources(suite).items():
        (folder / "sources" / name).write_text(text)
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::State::extended_states": "/dev/null",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": folder / "sources",
        "Debug::NoLocking": "true",
    }
    apt = [_tool("apt-get", "a Debian system"), "-q", "-y"]
    apt += [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    _call([*apt, "update", "--error-on=any"])
    _call([*apt, "install", "--download-only", *_PACKAGES])
    return sorted((folder / "archives").glob("*.deb"))


def _sources(suite: str) -> dict[str, str]:
    """The host's own sources of Debian packages, for another release: {file name: text}."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE))
    codename = release.get("VERSION_CODENAME")
    if release.get("ID") != "debian" or not codename:
        raise EmulationError(f"this takes a Debian system, and this is '{release.get('PRETTY_NAME', 'another')}'")
    etc = Path("/etc/apt")
    files = [etc / "sources.list.d" / "debian.sources", etc / "sources.list"]
    texts = {file.name: file.read_text() for file in files if file.exists() and codename in file.read_text()}
    if not texts:
        raise EmulationError(f"no source of Debian packages in {files[0]} or {files[1]}")
    return {name: re.sub(rf"\b{codename}\b", suite, text) for name, text in texts.items()}


def _cpuinfo(processor: Processor) -> str:
    variant, revision = processor.revision
    lines = {
        "processor": "0",
        "BogoMIPS": "108.00",
        "Features": processor.features,
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": variant,
        "CPU part": processor.part,
        "CPU revision": revision,
    }
    return "".join(f"{name}\t: {value}\n" for name, value in lines.items()) + "\n"


def _install(checkout: Path, cache: Path) -> Path:
    """The folder of the installed wheel: built from a copy, so that no left-over of an earlier build gets into it."""
    with tempfile.TemporaryDirectory() as temporary:
        source, wheels = Path(temporary) / "source", Path(temporary) / "wheels"
        source.mkdir()
        for name in _PARTS:
            if (checkout / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(checkout / name, source / name, ignore=ignored)
            else:
                shutil.copyfile(checkout / name, source / name)
        digest = hashlib.sha256()
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            digest.update(f"{file.relative_to(source)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
        folder = cache / f"asma-edge-{digest.hexdigest()[:12]}"
        if not (folder / _COMPLETE).exists():
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
            _call([*pip, "--wheel-dir", str(wheels), str(source)])
            _appear(folder, lambda place: _pip(place, "--no-deps", *map(str, wheels.glob("*.whl"))))
    return folder


def _appear(folder: Path, build: Callable[[Path], None]) -> None:
    """Build a folder whole or not at all; what another process finished first is as good."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for old in folder.parent.glob(folder.name.rpartition("-")[0] + "-*"):
        if time.time() - old.stat().st_mtime > _KEEP:
            shutil.rmtree(old, ignore_errors=True)
    place = Path(tempfile.mkdtemp(prefix=folder.name + ".", dir=folder.parent))
    try:
        build(place)
        (place / _COMPLETE).touch()
        if not folder.exists():
            place.rename(folder)
    except OSError as error:
        if not (folder / _COMPLETE).exists():
            raise EmulationError(f"cannot make {folder}: {error}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _pip(target: Path, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile"]
    _call([*pip, "--root-user-action=ignore", "--target", str(target), *arguments])


def _qemu() -> str:
    if platform.machine() not in ("x86_64", "AMD64"):
        raise EmulationError(f"this takes an x86-64 host, and this is {platform.machine()}")
    return _tool("qemu-aarch64", "qemu-user")


def _tool(name: str, package: str) -> str:
    """The path of a program of the host."""
    path = shutil.which(name)
    if path is None:
        raise EmulationError(f"no {name} here; it comes with {package}")
    return path


def _call(
    command: Sequence[str],
    *,
    stdin: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = _TIMEOUT,
) -> str:
    """Run a program and return its standard output."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, stdin=stdin or subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=timeout
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmulationError(f"{name}: {error}") from error
    if done.returncode:
        said = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-12:])
        raise EmulationError(f"{' '.join(command[:6])} ... ended with {done.returncode}:\n{said}")
    return done.stdout
