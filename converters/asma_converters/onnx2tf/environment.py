"""Private environments for onnx2tf, in the user's cache folder.

onnx2tf pins its own dependencies to exact versions (line 1 TensorFlow and NumPy 1.26, line 2 even pytest), which no
environment that does anything else should be made to follow. So it is installed apart and called as a program.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from asma_converters.errors import ConversionError
from asma_converters.guarded import last_line, run_limited
from asma_edge.files import atomic_file

_MARK = "asma-edge.json"  # written last: an environment without it was not finished
_ASK = "from importlib.metadata import version; print(version('onnx2tf'))"
_PYTHON = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
_ASK_SECONDS = 120
_INSTALL_SECONDS = 3600

Say = Callable[[str], None]


class Onnx2tfError(ConversionError):
    """onnx2tf or its environment cannot do what is asked."""


@dataclass(frozen=True)
class Line:
    """One of onnx2tf's two lines.

    Attributes:
        number: 1 or 2.
        version: of onnx2tf; it pins the versions of all that it needs itself.
        pythons: that it installs on, best first.
        size: of the environment.
        tensorflow: whether it converts by TensorFlow, or writes the file itself.
    """

    number: int
    version: str
    pythons: tuple[str, ...]
    size: str
    tensorflow: bool

    @property
    def setup(self) -> str:
        """The command that makes the environment."""
        return f"asma-convert setup-onnx2tf --line {self.number}"


LINES = {
    1: Line(1, "1.29.24", ("3.11", "3.10"), "2.4 GiB", tensorflow=True),
    2: Line(2, "2.6.9", ("3.12", "3.13"), "0.6 GiB", tensorflow=False),
}
DEFAULT_LINE = 2


def line_of(number: int) -> Line:
    """A line by its number.

    Raises:
        Onnx2tfError: there is no such line.
    """
    if number not in LINES:
        raise Onnx2tfError(
            "unknown line of onnx2tf", expected="1 (with TensorFlow) or 2", got=repr(number), hint="use --line 2"
        )
    return LINES[number]


def folder_of(line: Line) -> Path:
    """Where the environment of a line is, or will be."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"  # relative ones are void by their standard
    return root / "asma-edge" / f"onnx2tf-{line.number}"


def find(line: Line) -> Path:
    """The Python of a line's environment.

    Raises:
        Onnx2tfError: the environment is missing, unfinished, broken or of another version.
    """
    folder = folder_of(line)
    python = folder / "bin" / "python"
    if not folder.is_dir():
        others = "".join(f"; line {other.number} has one" for other in LINES.values() if folder_of(other).is_dir())
        raise _unusable(line, f"there is none in '{folder}'{others}")
    if not (folder / _MARK).is_file():
        raise _unusable(line, f"its installation in '{folder}' was not finished")
    try:
        code, output = run_limited([str(python), "-c", _ASK], environment_of(line), folder, _ASK_SECONDS)
    except (OSError, TimeoutError) as error:
        raise _unusable(line, f"it is broken: {python} does not run ({error or 'no answer'})") from error
    if code:
        raise _unusable(line, f"it is broken: {last_line(output)}")
    if output.strip() != line.version:
        raise _unusable(line, f"it holds onnx2tf {output.strip()[:40]}")
    return python


def environment_of(line: Line) -> dict[str, str]:
    """The variables that its programs see: ours, without what points to our own Python, and its own programs first."""
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"
    }
    path = os.pathsep.join([str(folder_of(line) / "bin"), os.environ.get("PATH", os.defpath)])
    # With oneDNN's kernels TensorFlow may crash here; without a GPU it looks for one and complains.
    quiet = {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    return {**ours, **quiet, "PATH": path, "PYTHONNOUSERSITE": "1"}


def set_up(line: Line, python: Path | None = None, say: Say = lambda text: None) -> tuple[Path, bool]:
    """Make the environment of a line, unless a usable one is there; what is there otherwise is replaced.

    Args:
        line: of onnx2tf.
        python: the interpreter to make it with; None looks for one.
        say: called with a line before each step.

    Returns:
        Its folder, and whether it was made now.

    Raises:
        Onnx2tfError: no fitting Python, no network, no space, or what was installed does not run.
    """
    folder = folder_of(line)
    try:
        find(line)
    except Onnx2tfError:
        pass
    else:
        return folder, False
    base = _choose(line, python)
    try:
        if folder.exists():
            say(f"remove the unusable environment in '{folder}'")
            shutil.rmtree(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        say(f"make '{folder}' with {base}")
        _step([str(base), "-m", "venv", str(folder)], line, folder.parent)
        say(f"install onnx2tf {line.version}: {line.size}, some minutes")
        own = str(folder / "bin" / "python")
        install = ["install", "--disable-pip-version-check", "--no-input", f"onnx2tf=={line.version}"]
        _step([own, "-m", "pip", *install], line, folder)
        say("try it")
        _step([own, "-m", "onnx2tf", "-V"], line, folder)
        with atomic_file(folder / _MARK) as temporary:
            temporary.write_text(json.dumps({"line": line.number, "onnx2tf": line.version, "python": str(base)}))
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise _failed(line, error.strerror or str(error)) from error
        raise
    find(line)
    return folder, True


def _step(command: list[str], line: Line, folder: Path) -> None:
    # The parent's PIP_* and proxy settings stay: they say how this machine reaches packages.
    try:
        code, output = run_limited(command, environment_of(line), folder, _INSTALL_SECONDS)
    except TimeoutError:
        raise _failed(line, f"no end after {_INSTALL_SECONDS} seconds: {' '.join(command[1:])}") from None
    if code:
        raise _failed(line, last_line(output) or f"exit code {code} of {' '.join(command[1:])}")


def _choose(line: Line, python: Path | None) -> Path:
    """A Python that the line installs on."""
    wanted = " or ".join(line.pythons)
    if python is not None:
        version = _version_of(python)
        if version not in line.pythons:
            raise Onnx2tfError(
                f"this Python cannot run onnx2tf {line.version}",
                expected=f"Python {wanted} with venv",
                got=f"'{python}': {'Python ' + version if version else 'no usable Python'}",
                hint="name another with --python",
            )
        return python
    for candidate in _candidates(line):
        if _version_of(candidate) in line.pythons:
            return candidate
    raise Onnx2tfError(
        f"no Python for onnx2tf {line.version}",
        expected=f"Python {wanted} with venv, on the PATH or under pyenv",
        got="none found",
        hint=f"install one, or name it: {line.setup} --python PATH",
    )


def _candidates(line: Line) -> Iterator[Path]:
    yield Path(sys.executable)
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in line.pythons:
        found = shutil.which(f"python{version}")
        if found is not None:
            yield Path(found)
        yield from sorted(versions.glob(f"{version}.*/bin/python"), reverse=True)


def _version_of(python: Path) -> str:
    """``3.11``; empty where it is no Python that can make environments."""
    environment = _without_python(os.environ)
    try:
        answer = subprocess.run(
            [str(python), "-c", _PYTHON], capture_output=True, text=True, env=environment, timeout=_ASK_SECONDS
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _without_python(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"}


def _unusable(line: Line, got: str) -> Onnx2tfError:
    return Onnx2tfError(
        f"no usable environment for onnx2tf, line {line.number}",
        expected=f"onnx2tf {line.version} in an environment of its own",
        got=got,
        hint=line.setup,
    )


def _failed(line: Line, got: str) -> Onnx2tfError:
    return Onnx2tfError(
        f"the environment for onnx2tf, line {line.number}, cannot be made; nothing was left behind",
        expected=f"pip installs onnx2tf {line.version} ({line.size}) and it starts",
        got=got,
        hint=f"check network and disk space, then again: {line.setup}",
    )
