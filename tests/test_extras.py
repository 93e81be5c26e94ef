"""Where an optional package is missing, one line says what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

from asma_edge.extras import ExtraMissingError, require


@pytest.mark.parametrize(
    ("entry", "package", "extra"),
    [
        ("asma_trainer.commands:data", "tqdm", "data"),
        ("asma_trainer.commands:train", "torch", "train"),
        ("asma_converters.commands:convert", "torch", "convert"),
    ],
)
def test_commands_say_what_to_install(entry: str, package: str, extra: str) -> None:
    module, function = entry.split(":")
    program = f"import sys; sys.modules['{package}'] = None; from {module} import {function} as main; sys.exit(main())"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert f"pip install 'asma-edge[{extra}]'" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_missing_package_is_a_typed_error() -> None:
    with pytest.raises(ExtraMissingError, match=r"asma-edge\[camera\]"):
        require("no_such_package_anywhere", "camera")
    assert require("json", "camera").dumps([1]) == "[1]"
