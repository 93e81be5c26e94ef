"""The run report: hostile text stays text, arrays decode to what went in, nothing is fetched, gaps are tolerated."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asma_edge.bundle import read_bundle
from asma_edge.errors import PoseError
from asma_edge.profiling import ProfileSettings
from asma_edge.profiling import profile as measure
from asma_edge.profiling.schema import FORMAT, Profile, Spread
from asma_edge.skeleton import get_layout
from asma_trainer.errors import DataError
from asma_trainer.pages.player import player_values
from asma_trainer.pages.values import Confusion, Curve, Event, Playback, Segment
from asma_trainer.report import AccuracyRow, ModelRow, RunReport, read_curves, render_report, write_report
from asma_trainer.report.content import Conversion
from asma_trainer.report.conversion import conversion_of
from asma_trainer.report.profile import as_profile, read_profile

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\'&amp;\u2028\ud800'
VOID = {"meta", "input", "br"}


@dataclass
class Element:
    name: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """Every element with its own text; fails on a tag that is not closed in order."""

    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1].text += data

    def named(self, name: str, class_: str | None = None) -> list[Element]:
        return [
            element
            for element in self.elements
            if element.name == name and (class_ is None or class_ in (element.attributes.get("class") or "").split())
        ]


def parse(report: RunReport) -> Page:
    page = Page()
    page.feed(render_report(report))
    page.close()
    assert not page.open
    return page


def playback(
    frames: int = 60, classes: int = 3, label: str = "wave", layout: str = "coco17", **changes: Any
) -> Playback:
    rng = np.random.default_rng(0)
    values: dict[str, Any] = {
        "layout": get_layout(layout),
        "poses": rng.normal(size=(frames, get_layout(layout).num_joints, 3)).astype(np.float32),
        "t": 10 + np.arange(frames) / 30,
        "scores": rng.random((frames, classes)).astype(np.float32),
        "labels": [label, *(f"class {index}" for index in range(1, classes))],
        "segments": [Segment(10.5, 11.5, label)],
        "events": [Event(10.8, "start", label), Event(11.6, "end", label)],
    }
    return Playback(**values | changes)


def spread(p50: float, p99: float, most: float) -> Spread:
    return {"p50": p50, "p90": (p50 + p99) / 2, "p99": p99, "max": most}


def profile(text: str = "Pi", threads: Sequence[int] = (1,)) -> Profile:
    """A profile such as `asma-edge profile` writes; its numbers are made up."""
    runs: list[dict[str, Any]] = [
        {
            "threads": count,
            "runtime": text,
            "python_ms": 20.0,
            "imports": {"numpy_ms": 90.0, "runtime_ms": 30.0, "asma_edge_ms": 12.0},
            "load_ms": 3.25,
            "first_call_ms": 5.5,
            "warm_up_ms": None,
            "rss_mib": 40.0,
            "peak_rss_mib": 43.1,
            "memory": dict.fromkeys(
                ("python_mib", "numpy_mib", "runtime_mib", "asma_edge_mib", "loaded_mib", "running_mib", "peak_mib")
            ),
            "updates": 300,
            "frames_per_second": 9000.0,
            "update_per_invoke": 1.2,
            "preprocess_ms": spread(0.02, 0.03, 0.04),
            "tensors_ms": None,
            "invoke_ms": spread(0.05, 0.1, 0.2),
            "decide_ms": spread(0.01, 0.02, 0.03),
            "update_ms": spread(0.1, 0.4, 1.0),
            "sustained": None,
            "flat_out": None,
        }
        for count in threads
    ]
    machine = {
        "model": text, "cpu": None, "architecture": "aarch64", "cores": 4, "features": [text], "memory_mib": 906.0,
        "system": text, "kernel": text, "governor": None, "max_clock_mhz": None,
    }  # fmt: skip
    values = {
        "format": FORMAT, "date": "2026-01-01", "bundle": text, "file": text, "file_bytes": 2048, "model_bytes": 1024,
        "mode": "stream", "sampling": "window", "precision": "int8", "streams": ["joint"], "window": 34, "fps": 15.0,
        "parameters": 1234, "macs_per_clip": 83_000_000, "machine": machine,
        "versions": {"python": "3.11.7", "numpy": "2.4", "runtime": text, "asma_edge": "0.2.0"}, "runs": runs,
        "pipeline": None,
    }  # fmt: skip
    return as_profile(values, "made up")


def conversion(text: str = "int8") -> Conversion:
    return {
        "precision": "int8", "mode": "stream", "agreement": 0.991, "parameters": 186_497, "macs": 70_000_000,
        "model_bytes": 978_368, "calibration_clips": 256, "golden_clips": 512, "warnings": [text],
        "stages": [
            {"name": "torch", "difference": 0.0, "agreement": 1.0, "accuracy": 0.956, "size": None},
            {"name": text, "difference": 1.57, "agreement": 0.991, "accuracy": 0.954, "size": 978_368},
        ],
        "layers": [
            {"stream": text, "name": "block1/output", "snr_db": 31.66},
            {"stream": text, "name": "block1/hidden", "snr_db": 12.3},
            {"stream": text, "name": "logits", "snr_db": None},
        ],
        "whole_clips": {"split": text, "clips": 1054, "student": 0.931, "bundle": 0.929, "agreement": 0.995},
    }  # fmt: skip


def full_report(text: str) -> RunReport:
    """Every section, with ``text`` wherever a user's text can come."""
    return RunReport(
        title=text,
        facts={text: text},
        highlights={text: text},
        accuracy=[AccuracyRow(text, text, 0.5), AccuracyRow(text, "other", float("nan"))],
        curves=[Curve(text, text, text, range(50), [float(value) for value in range(50)])],
        confusion=Confusion([text, "b"], np.array([[3, 1], [0, 0]])),
        playback=playback(label=text),
        profile=profile(text),
        conversion=conversion(text),
        models=[ModelRow(text, 10, None)],
    )


def test_hostile_text_stays_text() -> None:
    page = parse(full_report(HOSTILE))
    scripts = page.named("script")
    assert [script.attributes.get("type") for script in scripts] == ["application/json", None]
    assert json.loads(scripts[0].text)["labels"][0] == HOSTILE
    assert "alert" not in scripts[1].text
    assert not page.named("img")
    assert not [name for element in page.elements for name in element.attributes if name.startswith("on")]
    for name in ("title", "h1", "dt", "dd", "h3"):
        assert any(element.text == HOSTILE for element in page.named(name)), name


def test_the_page_fetches_nothing_and_admits_one_script() -> None:
    text = re.sub(r'"[A-Za-z0-9+/=]{99,}"', '""', render_report(full_report("plain")))  # packed poses are no address
    assert not re.search(r"https?:|//[a-z]|\burl\(|@import|\bsrc=|\bhref=", text.replace("// ", ""))
    page = parse(full_report("plain"))
    policy = next(e.attributes["content"] for e in page.named("meta") if "http-equiv" in e.attributes)
    digest = base64.b64encode(hashlib.sha256(page.named("script")[1].text.encode()).digest()).decode()
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}';" in policy


def test_the_same_report_gives_the_same_bytes_and_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(path, full_report(HOSTILE))
    first = path.read_bytes()
    write_report(path, full_report(HOSTILE))
    assert path.read_bytes() == first
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    assert first.decode("utf-8").startswith("<!doctype html>")


def test_sections_without_values_are_left_out() -> None:
    page = parse(RunReport("empty"))
    assert not page.named("section")
    assert not page.named("script")
    assert [element.text for element in page.named("h1")] == ["empty"]
    headings = [element.text for element in parse(RunReport("t", models=[ModelRow("m", 5)])).named("h2")]
    assert headings == ["Size of the networks"]


def test_long_runs_stay_small() -> None:
    classes, rng = 60, np.random.default_rng(1)
    labels = [f"class number {index}" for index in range(classes)]
    report = RunReport(
        "long",
        curves=[
            Curve(stage, stream, "loss", range(20000), rng.random(20000).tolist())
            for stage in ("pretrain", "distill")
            for stream in ("joint", "bone", "motion")
        ],
        confusion=Confusion(labels, rng.integers(0, 50, (classes, classes))),
        playback=playback(20000, classes, "wave", "mediapipe33"),
    )
    assert len(render_report(report).encode()) < 2_000_000


# ---- the player -------------------------------------------------------------------------------------------------


def decode(values: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Poses and scores as the script of the page reads them."""
    frames = len(values["t"])
    grid = np.frombuffer(base64.b64decode(values["poses"]), "<i2").reshape(frames, values["joints"], values["axes"])
    poses = np.where(grid == -32768, np.nan, np.array(values["offset"]) + grid * values["step"])
    levels = np.frombuffer(base64.b64decode(values["scores"]), np.uint8).reshape(frames, len(values["labels"]))
    return poses, np.where(levels == 255, np.nan, levels / 254)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.floats(1e-3, 1e4), st.floats(0, 0.5), st.integers(0, 2**32 - 1))
def test_poses_and_scores_decode_to_what_went_in(frames: int, size: float, missing: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    poses = (size * (rng.normal(size=(frames, 17, 3)) + rng.normal(size=3))).astype(np.float32)
    poses[rng.random((frames, 17)) < missing] = np.nan
    scores = rng.random((frames, 4)).astype(np.float32)
    scores[: frames // 2] = np.nan
    values, stride = player_values(playback(frames, 4, poses=poses, scores=scores))
    assert stride == 1
    seen, shares = decode(values)
    np.testing.assert_array_equal(np.isnan(seen), np.isnan(poses))
    span = np.ptp(np.nan_to_num(poses.astype(float)).reshape(-1, 3), axis=0).max()
    assert values["step"] <= span / 65000 + 1e-9
    np.testing.assert_allclose(seen, poses * (-1, 1, -1), atol=0.51 * values["step"] + 1e-6 * size)
    np.testing.assert_allclose(shares, scores, atol=0.5 / 254 + 1e-6)


def test_pixels_are_turned_upright_and_their_score_is_no_depth() -> None:
    poses = playback().poses
    values, _ = player_values(playback(poses=poses, units="pixels"))
    seen, _ = decode(values)
    np.testing.assert_allclose(seen, poses[..., :2] * (1, -1), atol=values["step"])


def test_a_recording_without_any_number_still_makes_a_page() -> None:
    nothing = playback(poses=np.full((60, 17, 3), np.nan, np.float32), scores=np.full((60, 3), np.nan, np.float32))
    page = parse(RunReport("t", playback=nothing))

    def refuse(name: str) -> None:
        raise AssertionError(name)

    values = json.loads(page.named("script")[0].text, parse_constant=refuse)
    assert np.isnan(decode(values)[0]).all()
    assert parse(RunReport("t", playback=playback(frames=1)))


def test_left_and_right_limbs_are_told_apart() -> None:
    layout = get_layout("ntu25")
    values, _ = player_values(playback(layout="ntu25"))
    sides = {
        tuple(sorted(layout.joints[v] for v in edge)): side
        for edge, side in zip(layout.edges, values["sides"], strict=True)
    }
    assert sides["left_elbow", "left_wrist"] == 1
    assert sides["right_ankle", "right_knee"] == 2
    assert sides["spine_base", "spine_mid"] == 0
    assert layout.joints[values["crown"]] == "head"


def test_the_timeline_shows_truth_and_events_at_their_times() -> None:
    page = parse(RunReport("t", playback=playback(frames=61)))  # 2 s
    (truth,) = [e for e in page.named("rect", "truth") if e.attributes["width"] != "0"]
    assert (truth.attributes["x"], truth.attributes["width"]) == ("250.0", "500.0")
    assert [line.attributes["x1"] for line in page.named("line", "event")] == ["400.0", "800.0"]
    lanes = page.named("svg", "lane")
    assert len(lanes) == 3
    assert "true 0.5 to 1.5 s" in (lanes[0].attributes["aria-label"] or "")


def test_of_many_classes_the_true_one_keeps_its_row() -> None:
    scores = np.full((60, 80), 0.5, np.float32)
    scores[:, 70] = 0.0
    labels = [f"class {index}" for index in range(80)]
    busy = playback(classes=80, scores=scores, labels=labels, segments=[Segment(10, 11, "class 70")], events=[])
    names = [element.text for element in parse(RunReport("t", playback=busy)).named("div", "name")]
    assert "class 70" in names
    assert len(names) < 20


# ---- charts and tables ------------------------------------------------------------------------------------------


def coordinates(page: Page) -> list[float]:
    numbers = [float(n) for path in page.named("path") for n in re.findall(r"-?[\d.]+", path.attributes["d"] or "")]
    assert not re.search("nan|inf", "".join(path.attributes["d"] or "" for path in page.named("path")))
    return numbers


def chart(values: list[float]) -> Page:
    return parse(RunReport("t", curves=[Curve("pretrain", "joint", "loss", range(len(values)), values)]))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(), max_size=60))
def test_any_values_make_a_chart_within_its_frame(values: list[float]) -> None:
    page = chart(values)
    assert len(page.named("figure")) == any(abs(value) <= 1e30 for value in values)
    assert all(0 <= number <= 360 for number in coordinates(page))


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [
        ([10.0 ** -(step // 100) for step in range(300)], True),
        ([0.1 * 0.5 * (1 + np.cos(np.pi * step / 300)) for step in range(300)], False),
        ([2.0 - step / 300 for step in range(300)], False),
        ([0.0] + [10.0 ** -(step // 100) for step in range(300)], False),
    ],
    ids=["steps", "cosine", "line", "zero"],
)
def test_the_scale_fits_the_values(values: list[float], logarithmic: bool) -> None:
    assert bool(chart(values).named("span", "note")) is logarithmic


def test_streams_with_the_same_values_share_a_line() -> None:
    curves = [Curve("align", stream, "lr", [0, 1], [0.1, 0.2]) for stream in ("joint", "bone")]
    assert len(parse(RunReport("t", curves=curves)).named("path")) == 1
    curves[1] = Curve("align", "bone", "lr", [0, 1], [0.1, 0.3])
    assert len(parse(RunReport("t", curves=curves)).named("path")) == 2


def test_confusion_shades_are_shares_of_the_row() -> None:
    counts = np.array([[8, 2, 0], [0, 0, 0], [1, 1, 2]])
    page = parse(RunReport("t", confusion=Confusion(["a", "b", "c"], counts)))
    cells = [rect for rect in page.named("rect") if "frame" not in (rect.attributes["class"] or "")]
    assert [float(cell.attributes["fill-opacity"] or "") for cell in cells] == pytest.approx(
        [0.08 + 0.92 * share for share in (0.8, 0.2, 0.25, 0.25, 0.5)], abs=0.006
    )
    assert [cell.attributes["class"] for cell in cells] == ["hit", "miss", "miss", "miss", "hit"]
    titles = [title.text for title in page.named("title")]
    assert "a → b: 2 of 10 (20.0 %)" in titles
    assert any("10 of 14 right" in element.text for element in page.named("p"))


def test_the_accuracy_table_shows_every_stage_and_dashes_where_unmeasured() -> None:
    rows = [AccuracyRow("teacher", "test", 0.962), AccuracyRow("student int8", "test", 0.954)]
    rows += [AccuracyRow("teacher", "hard", float("nan")), AccuracyRow("student int8", "hard", 0.9)]
    page = parse(RunReport("t", accuracy=rows))
    assert [e.text for e in page.named("strong")] == ["96.2 %", "90.0 %"]
    assert [e.text for e in page.named("td", "bar")] == ["", "–", "", ""]
    assert "--w:95.40%" in (page.named("i")[1].attributes["style"] or "")


def listed(page: Page) -> dict[str, str]:
    return dict(zip([e.text for e in page.named("dt")], [e.text for e in page.named("dd")], strict=True))


def test_a_profile_is_told_in_the_words_and_units_of_people() -> None:
    page = parse(RunReport("t", profile=profile()))
    assert listed(page) == {
        "Machine": "Pi, 4 cores",
        "Runtime": "Pi, Python 3.11.7",
        "File": "2 KiB, int8",
        "Parameters": "1,234",
        "MACs of a clip": "83.0 M",
        "Frames per second": "9,000",
        "Load": "3.25 ms",
        "First call": "5.5 ms",
        "Peak memory": "43.1 MiB",
    }
    assert [e.text for e in page.named("th")] == [
        "Step", "p50 ms", "p90 ms", "p99 ms", "max ms", "Preprocess", "Invoke", "Decide", "Whole update",
    ]  # fmt: skip
    assert [e.text for e in page.named("td", "num")][-4:] == ["0.100", "0.250", "0.400", "1.000"]
    text = " ".join(element.text for element in page.elements)
    assert not re.search(r"mib\b|_ms|rss|null|None", text)  # no name of a key


def test_several_numbers_of_threads_are_told_apart() -> None:
    page = parse(RunReport("t", profile=profile(threads=(1, 2))))
    assert {"1 thread · load", "2 threads · peak memory"} <= set(listed(page))
    assert "2 threads · whole update" in [e.text for e in page.named("th")]


def test_the_profile_that_is_measured_is_the_profile_that_is_told(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    """The one that `asma-edge profile` writes today, not one that a test made up."""
    measured = measure(make_bundle(), ProfileSettings(updates=5, sustained=0.3))
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(measured), encoding="utf-8")
    page = parse(RunReport("t", profile=read_profile(path)))
    assert {"Machine", "Peak memory", "Load", "CPU at that rate"} <= set(listed(page))
    names = [e.text for e in page.named("th")]
    assert "Whole update" in names
    assert any(name.startswith("Age of a result at") for name in names)


def test_a_bundles_own_report_is_told(make_bundle: Callable[..., Path]) -> None:
    page = parse(RunReport("t", conversion=conversion_of(read_bundle(make_bundle()))))
    stages = [e.text for e in page.named("th")]
    assert stages[:5] == ["Stage", "Agreement", "Window accuracy", "Largest difference", "Size"]
    assert "int8" in stages


def test_an_older_bundles_report_is_told_too(make_bundle: Callable[..., Path]) -> None:
    bundle = read_bundle(make_bundle())
    for name in ("layers", "whole_clips"):
        bundle.report.pop(name, None)
    page = parse(RunReport("t", conversion=conversion_of(bundle)))
    assert "Layer" not in [e.text for e in page.named("th")]
    bundle.report["layers"] = [{"stream": "joint", "name": "logits", "snr_db": "many"}]
    with pytest.raises(DataError, match="snr_db"):
        conversion_of(bundle)


def test_conversion_stages_become_rows() -> None:
    page = parse(RunReport("t", conversion=conversion()))
    assert [e.text for e in page.named("td", "num")] == [
        "100.0 %", "95.6 %", "0", "–", "99.1 %", "95.4 %", "1.6", "955 KiB", "31.7", "–",
    ]  # fmt: skip
    assert listed(page)["Clip accuracy, 1,054 clips of int8"] == "92.9 %; student 93.1 %; agreement 99.5 %"
    assert "block1/hidden" not in [e.text for e in page.named("th")]
    assert listed(page)["Agreement from first to last"] == "99.1 %"
    assert listed(page)["Clips"] == "256 to set ranges, 512 to judge by"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda p: p.pop("runs"), "runs"), (lambda p: p["runs"].append(3), r"runs\[1\]"),
        (lambda p: p["runs"][0].update(load_ms="fast"), "load_ms"), (lambda p: p.update(format=1), "format 1"),
        (lambda p: p.update(format=2), "format 2"),
        (lambda p: p["runs"][0]["update_ms"].pop("p50"), "p50"), (lambda p: p["machine"].update(model=[]), "model"),
        (lambda p: p["runs"][0].update(updates=True), "updates"),
    ],
)  # fmt: skip
def test_what_is_no_profile_is_refused_by_place(change: Callable[[Any], Any], named: str, tmp_path: Path) -> None:
    values = json.loads(json.dumps(profile()))
    change(values)
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(DataError, match=named):
        read_profile(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="cannot read profile"):
        read_profile(path)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 10**6), JSON_VALUES), max_size=3))
def test_any_damage_to_a_profile_makes_a_page_or_is_refused(damages: list[tuple[int, Any]]) -> None:
    values: Any = json.loads(json.dumps(profile()))
    for number, value in damages:
        at = values
        while True:  # walk down to some leaf
            key = list(at if isinstance(at, dict) else range(len(at)))[number % len(at)]
            if not isinstance(at[key], dict | list) or not at[key]:
                break
            at = at[key]
        at[key] = value
    try:
        checked = as_profile(values, "damaged")
    except DataError:
        return
    parse(RunReport("t", profile=checked))


# ---- values refused, curves read --------------------------------------------------------------------------------


def test_values_that_do_not_fit_are_refused_by_name() -> None:
    with pytest.raises(DataError, match="fraction"):
        AccuracyRow("teacher", "test", 96.2)
    with pytest.raises(DataError, match="pretrain/joint/loss"):
        Curve("pretrain", "joint", "loss", [1, 2], [0.1])
    with pytest.raises(DataError, match="confusion"):
        Confusion(["a"], np.zeros((2, 2), dtype=np.int64))
    with pytest.raises(DataError, match="confusion"):
        Confusion(["a"], np.array([[-1]]))
    with pytest.raises(PoseError):
        playback(poses=np.zeros((60, 16, 3), np.float32))
    with pytest.raises(DataError, match="the same T"):
        playback(scores=np.zeros((60, 2), np.float32))
    with pytest.raises(DataError, match="increasing"):
        playback(t=np.zeros(60))


def write_metrics(run: Path, stage: str, stream: str, text: str) -> None:
    folder = run / stage / stream
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text(text)


def test_curves_come_in_pipeline_order_with_resumed_steps_once(tmp_path: Path) -> None:
    lines = [
        {"step": 0, "loss": 3.0, "lr": 0.1},
        {"step": 10, "loss": 2.0, "lr": 0, "epoch": 1},
        {"step": 10, "loss": 2.5},
    ]
    write_metrics(tmp_path, "distill", "joint", '{"step": 5, "loss": NaN, "kind": "x", "probe": 0.5}\n')
    write_metrics(tmp_path, "pretrain", "joint", "".join(json.dumps(line) + "\n" for line in lines))
    curves = read_curves(tmp_path)
    assert [(c.stage, c.stream, c.metric, list(c.steps)) for c in curves] == [
        ("pretrain", "joint", "loss", [0, 10]),
        ("pretrain", "joint", "lr", [0, 10]),
        ("distill", "joint", "loss", [5]),
        ("distill", "joint", "probe", [5]),
    ]
    assert [list(c.values) for c in curves[:2]] == [[3.0, 2.5], [0.1, 0.0]]
    assert np.isnan(curves[2].values[0])


@pytest.mark.parametrize(
    "tail", ['{"step": 2, "lo', "", "\n\n", '{"loss": 1.0}\n', "[]", '{"step": true}', '{"step": 1e3}', "\x00\x00"]
)
def test_a_last_line_that_was_cut_is_left_out(tmp_path: Path, tail: str) -> None:
    write_metrics(tmp_path, "pretrain", "joint", '{"step": 1, "loss": 2.0}\n' + tail)
    (curve,) = read_curves(tmp_path)
    assert (list(curve.steps), list(curve.values)) == ([1], [2.0])


def test_a_broken_line_within_a_file_is_named(tmp_path: Path) -> None:
    write_metrics(
        tmp_path, "pretrain", "joint", '{"step": 1, "loss": 2.0}\n{"step": 2, "lo\n{"step": 3, "loss": 1.0}\n'
    )
    with pytest.raises(DataError, match="line 2"):
        read_curves(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_curves(tmp_path / "absent")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert read_curves(empty) == []
