"""What the page of `asma-edge serve` is made of, and what it is told."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_client import MODEL, Viewer, get

from asma_edge import Recognizer
from asma_edge.pipeline import Pipeline
from asma_edge.repetitions import Repetition
from asma_edge.serve import PageOutput, PageServer, server
from asma_edge.serve.messages import pose_numbers, score_pairs, whose
from asma_edge.sources import PoseFrame


@pytest.mark.parametrize("path", sorted(server._FILES))
def test_its_files_are_served_and_need_nothing_from_elsewhere(page: PageServer, path: str) -> None:
    got = get(page, path)
    text = got.body.decode()
    assert got.status == 200
    assert got.headers["Content-Type"] == server._FILES[path][1]
    assert got.headers["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert "frame-ancestors 'none'" in got.headers["Content-Security-Policy"]
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in got.headers
    assert "//" not in re.sub(r"http://www\.w3\.org/2000/svg|^ *//.*$| // .*$", "", text, flags=re.MULTILINE)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert len(got.body) < 16_000


def test_every_file_of_the_page_is_in_the_table() -> None:
    folder = Path(server.__file__).parent / "page"
    assert {name for name, _ in server._FILES.values()} == {path.name for path in folder.iterdir()}


def test_a_viewer_is_told_what_was_and_what_is(
    live: PageServer, output: PageOutput, recognizer: Recognizer, recording: list[PoseFrame]
) -> None:
    pipeline = Pipeline(recognizer, [output])
    for frame in recording[:-30]:
        pipeline.take(frame, "example")
    viewer = Viewer(live)
    assert viewer.answer.headers["Content-Type"].startswith("text/event-stream")
    kind, hello = viewer.read()
    assert kind == "hello"
    assert hello["labels"] == list(recognizer.labels)
    assert hello["units"] == "metres"
    assert len(hello["edges"]) == len(hello["joints"]) - 1 == 24
    assert hello["actions"]
    assert sum(count["actions"] for count in hello["counts"]) == len(hello["actions"])
    for action in hello["actions"][:-1]:
        assert action.keys() == {"n", "person", "label", "t", "end", "score"}
        assert action["label"] in hello["labels"]
        assert action["t"] < action["end"]
        assert recognizer.decision.enter <= action["score"] <= 1
    assert hello["history"]
    kind, frame = viewer.read()
    assert kind == "frame"
    assert frame.keys() == {"t", "people", "ms", "fps", "age", "dropped"}
    (person,) = frame["people"]
    assert person.keys() == {"id", "pose", "state", "label", "score", "since", "scores"}
    assert (person["id"], len(person["pose"])) == (None, 75)
    assert frame["ms"] > 0
    time.sleep(0.3)  # longer than a viewer waits between two frames, on a busy machine as well
    for frame in recording[-30:]:
        pipeline.take(frame, "example")
    pipeline.finish()
    kinds: set[str] = set()
    while not {"frame", "over"} <= kinds:  # whatever waits for a viewer together comes before the frame
        kinds.add(viewer.read()[0])
    viewer.close()
    late = Viewer(live)
    assert [late.read()[0] for _ in range(3)] == ["hello", "frame", "over"]
    late.close()


def test_frames_are_thinned_out_but_actions_and_repetitions_are_not(recognizer: Recognizer) -> None:
    seconds = [0.0]
    output = PageOutput(recognizer, "tests", camera=True, dropped=lambda: 3, clock=lambda: seconds[0] + 0.05)
    sent: list[tuple[str, dict[str, Any]]] = []
    output.hub.publish = lambda kind, values: sent.append((kind, dict(values)))  # type: ignore[method-assign]
    pose = np.zeros((25, 3), np.float32)
    one = Recognizer.load(MODEL).stream().update(pose, 0.0)
    for index in range(200):
        t = seconds[0] = index / 100
        event = {0: "start", 2: "end"}.get(index % 5)
        label = recognizer.labels[index % 2]
        result = replace(one, t=t, label=label, t_start=t, event=event, score=0.9)
        if index % 50 == 7:
            result = replace(result, repetition=Repetition(1, label, t - 1.25, t, 0.9, 0.876))
        output.frame(PoseFrame(t, [pose], False, index), [(None, result)])
    frames = [values for kind, values in sent if kind == "frame"]
    assert 29 <= len(frames) <= 32
    assert (frames[-1]["age"], frames[-1]["dropped"], frames[-1]["fps"]) == (50.0, 3, 100.0)
    actions = [values for kind, values in sent if kind == "action"]
    assert len(actions) == 80  # 40 of them, each as it starts and as it ends
    assert sum(values["end"] is not None for values in actions) == 40
    counts = {values["label"]: values for kind, values in sent if kind == "count"}
    assert sum(count["actions"] for count in counts.values()) == 40
    assert sum(count["repetitions"] for count in counts.values()) == 4
    assert (counts[recognizer.labels[1]]["last"], counts[recognizer.labels[1]]["quality"]) == (1.25, 0.88)


def test_what_a_viewer_is_told_first_is_bounded(recognizer: Recognizer) -> None:
    seconds = [0.0]
    output = PageOutput(recognizer, "tests", clock=lambda: seconds[0])
    pose = np.zeros((25, 3), np.float32)
    one = recognizer.stream().update(pose, 0.0)
    for index in range(1500):
        t = seconds[0] = float(index)
        people = [(number, replace(one, t=t, label="x", event="start")) for number in range(index, index + 3)]
        output.frame(PoseFrame(t, [pose] * 3, True, index), people)
    (_, hello), *_ = output._greeting()
    assert len(hello["actions"]) == 100
    assert {round(t) for t, _, _ in hello["history"]} == set(range(1469, 1500))
    assert max(len(output._results), len(output._poses)) <= 100
    assert len(output._open) <= 100


def test_numbers_are_short_and_missing_joints_are_null() -> None:
    pose = np.array([[0.12345, -1, 2], [np.nan, 0, 0], [1e6, 2, 0.5]], np.float32)
    assert pose_numbers(pose, "metres") == [0.123, -1.0, 2.0, None, None, None, 1e6, 2.0, 0.5]
    assert pose_numbers(pose, "pixels") == [0.1, -1.0, None, None, 1e6, 2.0]
    assert score_pairs(np.array([0.001, 0.9, 0.099], np.float32)) == [[1, 0.9], [2, 0.099]]
    assert score_pairs(np.empty(0, np.float32)) == []


def test_poses_are_matched_to_the_people_that_are_followed() -> None:
    at = [np.full((3, 3), place, np.float32) for place in (0.0, 1.0, 2.0)]
    assert whose(at, [4, 2, 9], {}) == {4: 0, 2: 1, 9: 2}
    assert whose(at, [2, 9], {2: at[1], 9: at[2]}) == {2: 1, 9: 2}  # the first is nobody's
    assert whose(at, [2, 9], {2: at[0], 9: at[2]}) == {2: 0, 9: 2}
    assert whose(at, [], {}) == {}
    assert whose([], [1], {}) == {}
