"""`asma-edge serve` as a command: it says what cannot be served, and serves until a signal."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_client import TOKEN

from asma_edge.cli import main
from asma_edge.cli.shared import BAD_INPUT, OK
from asma_edge.serve import PageOutput, PageServer, ServeError, server
from asma_edge.sources import PoseFrame


def test_a_port_in_use_is_named(live: PageServer, output: PageOutput, capsys: pytest.CaptureFixture[str]) -> None:
    port = live.address[1]
    with pytest.raises(ServeError, match=f"port {port} is in use") as caught:
        PageServer(output.hub, port=port)
    assert f"--port {port + 1}" in caught.value.hint
    assert main(["serve", "irds9", "--source", "example", "--port", str(port)]) == BAD_INPUT
    assert f"port {port} is in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"host": "no-such-host.invalid"}, "has no address"),
        ({"host": "a..b"}, "has no address"),
        ({"host": "x" * 300}, "has no address"),
        ({"host": "192.0.2.1"}, "cannot listen"),
        ({"port": 65536}, "unusable port"),
        ({"port": -1}, "unusable port"),
        ({"port": True}, "unusable port"),
    ],
)
def test_an_impossible_address_is_refused(output: PageOutput, options: dict[str, Any], what: str) -> None:
    with pytest.raises(ServeError, match=what) as caught:
        PageServer(output.hub, **{"port": 0, **options})
    assert caught.value.expected


def test_missing_files_are_named(output: PageOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(server._FILES, "/", ("gone.html", "text/html"))
    with pytest.raises(ServeError, match=r"gone\.html"):
        PageServer(output.hub, port=0)


def test_a_token_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["serve", "irds9", "--source", "example", "--port", "0"]
    assert main([*arguments, "--token", f"@{tmp_path / 'none'}"]) == BAD_INPUT
    assert "cannot read the token" in capsys.readouterr().err
    assert main([*arguments, "--token", "short"]) == BAD_INPUT
    assert "unusable token" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "over"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGINT, True)])
def test_the_command_serves_until_a_signal(
    recording: list[PoseFrame], tmp_path: Path, number: signal.Signals, over: bool
) -> None:
    poses = tmp_path / "poses.jsonl"
    lines = [json.dumps({"t": frame.t, "pose": np.asarray(frame.poses[0]).tolist()}) for frame in recording]
    poses.write_text("\n".join(lines[: 15 if over else None]))
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    options = ["serve", "irds9", "--source", str(poses), "--port", "0", "--token", f"@{token}", "--json"]
    command = [sys.executable, "-m", "asma_edge", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        (url,) = json.loads(process.stdout.readline())["urls"]
        connection = http.client.HTTPConnection(url.split("/")[2], timeout=20)
        connection.request("GET", "/live", headers={"Cookie": f"asma_{url.split('/')[2].split(':')[1]}={TOKEN}"})
        answer = connection.getresponse()
        wanted = b"event: over" if over else b"event: frame"
        while (line := answer.readline()).strip() != wanted:
            assert line
        errors = ""
        while over and "the source is over" not in errors:  # viewers know it a little earlier
            said = process.stderr.readline()
            assert said
            errors += said
        process.send_signal(number)
        try:
            errors += process.communicate(timeout=20)[1]
        finally:
            process.kill()  # one that did not end must not keep the tests waiting
        connection.close()
    assert process.returncode == OK
    assert "Traceback" not in errors
    assert ("the source is over" in errors) == over
