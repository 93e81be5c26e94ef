"""The profiler: what it asks of the machine, what it measures, and what it says when there is nothing to say."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from asma_edge import Recognizer
from asma_edge.cli import main
from asma_edge.errors import AsmaError, LayoutError
from asma_edge.estimators.base import Estimate
from asma_edge.hardware import describe_machine, memory_mib
from asma_edge.preprocess import Units
from asma_edge.profiling import ProfileSettings, profile
from asma_edge.profiling.pipeline import profile_pipeline
from asma_edge.profiling.plot import profile_plot
from asma_edge.profiling.schema import Comparison, Profile
from asma_edge.profiling.sensors import Reading, Sensors, ask_firmware, decode_throttled, parse_clock, parse_throttled
from asma_edge.profiling.stages import StageTimer, spread, stage_spreads
from asma_edge.profiling.startup import measure_startup
from asma_edge.profiling.sustained import Histogram, sustain
from asma_edge.profiling.table import WIDTH, profile_table
from asma_edge.skeleton import FloatArray
from asma_edge.sources.frames import Image, ImageFrame

EXAMPLE = Path(__file__).parents[2] / "examples" / "profile_on_pi.py"
CPUFREQ = "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq"


def arm_cpuinfo(part: str, features: str, model: str, cores: int = 4) -> str:
    """/proc/cpuinfo as the 64-bit kernel of a Raspberry Pi writes it."""
    core = f"BogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n"
    text = "".join(f"processor\t: {n}\n{core}" for n in range(cores))
    return f"{text}Revision\t: c03114\nSerial\t\t: 10000000abcdef01\nModel\t\t: {model}\n"


PI4 = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/cpuinfo": arm_cpuinfo("0xd08", "fp asimd evtstrm crc32 cpuid", "Raspberry Pi 4 Model B Rev 1.4"),
    "proc/meminfo": "MemTotal:        3885400 kB\nMemFree:          123456 kB\n",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\n',
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1800000\n",
    CPUFREQ: "1500000\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48686\n",
}
PI5 = {
    **PI4,
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/cpuinfo": arm_cpuinfo(
        "0xd0b", "fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm asimddp", "Raspberry Pi 5 Model B"
    ),
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "2400000\n",
}
PC = {
    "proc/cpuinfo": "".join(
        f"processor\t: {n}\nvendor_id\t: GenuineIntel\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R)   Processor\n"
        "flags\t\t: fpu sse2 avx2 avx512f avx512_vnni amx_tile amx_int8 hypervisor\n\n"
        for n in range(2)
    ),
    "sys/class/thermal/thermal_zone0/type": "acpitz\n",  # a mainboard's: not the processor's temperature
    "sys/class/thermal/thermal_zone0/temp": "27800\n",
    "sys/class/hwmon/hwmon0/name": "nvme\n",
    "sys/class/hwmon/hwmon0/temp1_input": "35000\n",
    "sys/class/hwmon/hwmon1/name": "coretemp\n",
    "sys/class/hwmon/hwmon1/temp1_input": "61000\n",
}
GARBAGE = {
    "proc/device-tree/model": "\x1b[2J\x1b]0;title\x07Board\0\n\0",
    "proc/cpuinfo": "processor\nCPU part\t: zebra\nCPU implementer\t: 0x41\nmodel name\t: \0\x01\n: :\n::",
    "proc/meminfo": "MemTotal: lots kB",
    "etc/os-release": "PRETTY_NAME=",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "-5",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "99999999999999999999",
    CPUFREQ: "fast\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """make(files): the root of another machine's file system."""

    def make(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "root"

    return make


# ---- the machine ------------------------------------------------------------------------------------------------


def test_a_raspberry_pi_4_says_what_it_is(tree: Callable[[dict[str, str]], Path]) -> None:
    machine = describe_machine(tree(PI4))
    assert machine["model"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert machine["cpu"] == "Cortex-A72"
    assert machine["cores"] == 4
    assert machine["features"] == ["asimd"]  # and no asimddp: int8 is slower there
    assert machine["memory_mib"] == pytest.approx(3885400 / 1024)
    assert machine["system"] == "Debian GNU/Linux 12 (bookworm)"
    assert machine["governor"] == "ondemand"
    assert machine["max_clock_mhz"] == 1800
    assert "abcdef01" not in json.dumps(machine)  # the serial number is nobody's business


def test_a_raspberry_pi_5_has_the_dot_product(tree: Callable[[dict[str, str]], Path]) -> None:
    machine = describe_machine(tree(PI5))
    assert machine["cpu"] == "Cortex-A76"
    assert "asimddp" in machine["features"]


def test_the_board_is_in_cpuinfo_too(tree: Callable[[dict[str, str]], Path]) -> None:
    files = {name: text for name, text in PI4.items() if name != "proc/device-tree/model"}
    assert describe_machine(tree(files))["model"] == "Raspberry Pi 4 Model B Rev 1.4"


def test_a_pc_is_called_by_its_processor(tree: Callable[[dict[str, str]], Path]) -> None:
    machine = describe_machine(tree(PC))
    assert machine["model"] == machine["cpu"] == "Intel(R) Xeon(R) Processor"
    assert machine["features"] == ["avx2", "avx512f", "avx512_vnni", "amx_int8", "hypervisor"]
    assert machine["governor"] is None
    assert machine["max_clock_mhz"] is None
    assert machine["memory_mib"] is None


def test_an_unknown_or_mixed_processor_is_not_guessed(tree: Callable[[dict[str, str]], Path]) -> None:
    cpuinfo = arm_cpuinfo("0xd05", "asimd", "board", 2) + arm_cpuinfo("0xfff", "asimd", "board", 2)
    assert describe_machine(tree({"proc/cpuinfo": cpuinfo}))["cpu"] == "Cortex-A55 + CPU part 0xfff of 0x41"
    other = cpuinfo.replace("0x41", "0x61")  # another maker's part numbers mean something else
    assert describe_machine(tree({"proc/cpuinfo": other}))["cpu"] == "CPU part 0xd05 of 0x61 + CPU part 0xfff of 0x61"


def test_garbage_and_nothing_are_none(tree: Callable[[dict[str, str]], Path]) -> None:
    machine = describe_machine(tree(GARBAGE))
    assert machine["model"] == "[2J ]0;title Board"  # nothing that a terminal would obey
    for name in ("cpu", "memory_mib", "system", "governor", "max_clock_mhz"):
        assert machine[name] is None, name  # type: ignore[literal-required]
    assert Sensors(tree(GARBAGE), lambda _: "throttled=maybe").read() == Reading(None, None, None)
    empty = tree({}) / "nowhere"
    assert describe_machine(empty)["model"] is None
    assert Sensors(empty, lambda _: None).read() == Reading(None, None, None)


def test_memory_is_this_process_and_its_peak(tree: Callable[[dict[str, str]], Path]) -> None:
    root = tree({"proc/self/status": "Name:\tpython\nVmHWM:\t   61440 kB\nVmRSS:\t   51200 kB\n"})
    assert memory_mib(root) == (50.0, 60.0)
    now, peak = memory_mib()
    assert 5 < now <= peak + 1
    assert all(value > 5 for value in memory_mib(root / "nowhere"))  # a system without /proc


# ---- sensors ----------------------------------------------------------------------------------------------------


def test_sensors_of_a_raspberry_pi(tree: Callable[[dict[str, str]], Path]) -> None:
    root = tree(PI4)
    answers = {"get_throttled": "throttled=0x50005\n", "measure_clock arm": "frequency(48)=1000265600\n"}
    # The kernel's file still says 1500 MHz, as on a real one.
    assert Sensors(root, answers.get).read() == Reading(48.686, 1000.2656, 0x50005)
    without = Sensors(root, lambda _: None)
    assert without.read() == Reading(48.686, 1500.0, None)
    (root / CPUFREQ).write_text("600000\n")
    (root / "sys/class/thermal/thermal_zone0/temp").unlink()
    assert without.read() == Reading(None, 600.0, None)


def test_only_the_processors_own_thermometer_counts(tree: Callable[[dict[str, str]], Path]) -> None:
    assert Sensors(tree(PC), lambda _: None).read() == Reading(61.0, None, None)


def test_firmware_is_not_asked_again_what_it_did_not_answer() -> None:
    asked: list[str] = []

    def firmware(question: str) -> str | None:
        asked.append(question)
        return "throttled=0x0" if question == "get_throttled" else "error=1 error_msg=not registered"

    sensors = Sensors(Path("/nowhere"), firmware)
    assert [sensors.read().throttled for _ in range(3)] == [0, 0, 0]
    assert sorted(asked) == ["get_throttled"] * 3 + ["measure_clock arm"]


def test_a_machine_without_vcgencmd_has_no_such_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert ask_firmware("get_throttled") is None


def test_throttling_in_words() -> None:
    assert decode_throttled(parse_throttled("throttled=0x0\n")) == {"bits": "0x0", "now": [], "since_boot": []}
    assert decode_throttled(0x50005) == {
        "bits": "0x50005",
        "now": ["under-voltage", "throttled"],
        "since_boot": ["under-voltage", "throttled"],
    }
    decoded = decode_throttled(0xA0008)
    assert decoded is not None
    assert decoded["now"] == ["soft temperature limit"]
    assert decoded["since_boot"] == ["clock capped", "soft temperature limit"]


@pytest.mark.parametrize("text", ["", "0x0", "throttled=", "throttled=0xzz", "throttled=-1", "error=1"])
def test_an_answer_that_is_none_of_the_firmwares_is_nothing(text: str) -> None:
    assert parse_throttled(text) is None
    assert parse_clock(text.replace("throttled", "frequency(48)")) is None
    assert decode_throttled(None) is None


# ---- measuring --------------------------------------------------------------------------------------------------


def test_the_histogram_knows_percentiles_in_constant_memory() -> None:
    values = np.exp(np.random.default_rng(0).normal(0, 2, 20_000))
    histogram = Histogram()
    for value in values:
        histogram.add(float(value))
    exact, found = spread(values), histogram.spread()
    for name in ("p50", "p90", "p99"):
        assert found[name] == pytest.approx(exact[name], rel=0.006)  # type: ignore[literal-required]
    assert found["max"] == exact["max"]
    for extreme in (0.0, 1e12):
        histogram.clear()
        histogram.add(extreme)
        assert histogram.spread()["max"] == extreme


def test_the_parts_of_an_update_add_up_to_it(make_bundle: Callable[..., Path]) -> None:
    recognizer = Recognizer.load(make_bundle())
    timer, stream = StageTimer(recognizer), recognizer.stream()
    poses = recognizer.bundle.golden["poses"][0]
    samples = [timer.time(lambda index=index: stream.update(poses[index], index / 30)) for index in range(20)]  # type: ignore[misc]
    for sample in samples:
        parts = (sample.preprocess, sample.tensors, sample.invoke, sample.decide)
        assert min(parts) > 0
        assert sum(parts) == pytest.approx(sample.update)
    # A camera faster than the model: the network has nothing to do, and no time is made up for it.
    idle = timer.time(lambda: stream.update(poses[19], 19 / 30 + 0.001))
    assert math.isnan(idle.invoke)
    assert stage_spreads([idle])["invoke"] is None
    assert stage_spreads([idle])["update"] is not None


def test_watching_changes_no_result_and_no_other_recogniser(make_bundle: Callable[..., Path]) -> None:
    path = make_bundle()
    watched, other = Recognizer.load(path), Recognizer.load(path)
    timer = StageTimer(watched)
    clip = watched.bundle.golden["poses"][0]
    timer.time(lambda: np.testing.assert_array_equal(watched.predict(clip).scores, other.predict(clip).scores))
    assert "invoke" not in vars(other.runtime.graph("stream"))


def test_a_sustained_run_records_what_the_sensors_show() -> None:
    readings = iter([Reading(50.0, 1800.0, 0), Reading(84.9, 600.0, 0x80008), *[Reading(70.0, 1500.0, 0x80000)] * 9])

    class Hot(Sensors):
        def __init__(self) -> None:
            pass

        def read(self) -> Reading:
            return next(readings)

    class Steps:
        def step(self, rate: float) -> float:
            return 1.0 / rate

    told: list[str] = []
    run = sustain(Steps(), 1.1, 200.0, paced=True, sensors=Hot(), progress=told.append)
    assert run["frames"] == 220
    assert run["frames_per_second"] == pytest.approx(200, rel=0.2)
    assert (run["temperature_c"], run["clock_mhz"]) == (84.9, 600.0)
    assert run["throttled"] == {"bits": "0x80000", "now": [], "since_boot": ["soft temperature limit"]}
    assert run["throttled_now"] == ["soft temperature limit"]
    series = run["series"]
    assert {len(values) for values in series.values()} == {3}  # type: ignore[arg-type]
    assert series["update_p50_ms"][0] is None
    assert series["update_p50_ms"][1] == pytest.approx(0.005, rel=0.01)
    assert told
    flat = sustain(Steps(), 0.01, 30.0, paced=False, sensors=Hot(), progress=told.append)
    assert flat["frames"] > 1
    assert flat["fps"] is flat["late_frames"] is flat["result_age_ms"] is None


def test_the_start_is_measured_in_a_process_of_its_own(make_bundle: Callable[..., Path]) -> None:
    start = measure_startup(make_bundle(), 1, 5)
    for value in (start.python_ms, *start.imports.values(), start.load_ms, start.first_call_ms, start.warm_up_ms):
        assert value > 0  # type: ignore[operator]
    names = ("python_mib", "numpy_mib", "runtime_mib", "asma_edge_mib", "loaded_mib", "peak_mib")
    steps = [start.memory[name] or 0.0 for name in names]
    assert steps == sorted(steps)
    assert 3 < steps[0] < steps[-1] < 200  # and not this process with its torch


def test_a_start_that_fails_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(AsmaError, match="fresh process") as caught:
        measure_startup(tmp_path / "none.tflite", 1, 1)
    assert "none.tflite" in caught.value.got


@pytest.mark.parametrize(
    "wrong",
    [
        {"updates": 0},
        {"threads": ()},
        {"threads": (0,)},
        {"threads": (1, 65)},
        {"sustained": -1.0},
        {"sustained": math.nan},
        {"fps": 0.0},
        {"fps": math.inf},
        {"fps": math.nan},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(AsmaError, match="profile settings"):
        ProfileSettings(**wrong)


# ---- the profile ------------------------------------------------------------------------------------------------


def fits(value: Any, kind: Any) -> bool:
    """Whether JSON values are what a TypedDict says, no key more or less."""
    if typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind)
        return isinstance(value, dict) and value.keys() == hints.keys() and all(fits(value[k], hints[k]) for k in hints)
    if typing.get_origin(kind) is list:
        return isinstance(value, list) and all(fits(item, typing.get_args(kind)[0]) for item in value)
    if typing.get_args(kind):
        return any(fits(value, option) for option in typing.get_args(kind))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, kind)


@pytest.fixture(scope="module")
def measured(make_bundle: Callable[..., Path]) -> Profile:
    settings = ProfileSettings(threads=(1, 2), sustained=0.1, flat_out=True, updates=5)
    return profile(make_bundle(), settings, sensors=Sensors(Path("/nowhere"), lambda _: None))


def test_a_profile_keeps_its_shape(measured: Profile) -> None:
    assert fits(json.loads(json.dumps(measured, allow_nan=False)), Profile)
    assert [run["threads"] for run in measured["runs"]] == [1, 2]
    for run in measured["runs"]:
        assert run["updates"] == 5
        assert run["peak_rss_mib"] == run["memory"]["peak_mib"]
        assert (run["rss_mib"] or 0) > 5
        assert run["update_per_invoke"] is not None
        assert run["update_per_invoke"] > 1


def test_what_was_not_measured_is_neither_in_the_table_nor_in_the_picture(measured: Profile) -> None:
    text, picture = profile_table(measured), profile_plot(measured)
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    stages = ("preprocess", "tensors", "invoke", "fusion+decide", "whole update", "result age")
    for name in (*stages, "frames per second", "MLPerf"):
        assert name in text
    for name in ("°C", "None", "nan", "limits"):
        assert name not in text
        assert name not in picture
    ElementTree.fromstring(picture)


def test_a_throttled_pi_says_so_in_the_table_and_the_picture(measured: Profile) -> None:
    hot: Profile = json.loads(json.dumps(measured))
    hot["bundle"] = "\x1b[2Jhome\x00<b>"  # nor may a hostile name do anything
    hot["machine"].update(model="Raspberry Pi <5>", cpu="Cortex-A76", governor="ondemand", max_clock_mhz=2400.0)
    sustained = hot["runs"][0]["sustained"]
    assert sustained is not None
    sustained.update(
        temperature_c=85.4, clock_mhz=1500.0, throttled=decode_throttled(0x50000), throttled_now=["throttled"]
    )
    count = len(sustained["series"]["t_s"])
    sustained["series"].update(temperature_c=[50.0, *[85.4] * (count - 1)], clock_mhz=[2400.0, *[1500.0] * (count - 1)])
    text = profile_table(hot)
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    words = " ".join(text.split())
    assert "Raspberry Pi <5>, Cortex-A76" in words
    assert "bundle [2Jhome<b> (" in words
    assert "\x1b" not in text
    assert "at most 85.4 °C, at least 1500 MHz" in words
    assert "limits meanwhile: throttled; since boot: under-voltage, throttled (0x50000)" in words
    picture = profile_plot(hot)
    ElementTree.fromstring(picture)
    assert "Temperature over time" in picture
    assert "Clock over time" in picture


@pytest.mark.parametrize(("mode", "sampling"), [("clip", "window"), ("clip", "clip")])
def test_bundles_without_a_streaming_graph_are_measured_too(
    make_bundle: Callable[..., Path], capsys: pytest.CaptureFixture[str], mode: str, sampling: str
) -> None:
    path = make_bundle("ntu25", "float32", mode, sampling=sampling)
    out = path.with_suffix(".json")
    assert main(["profile", str(path), "--updates", "3", "--sustained", "0", "--json", "--out", str(out)]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values == json.loads(out.read_text())
    assert values["file_bytes"] == path.stat().st_size
    assert fits(values, Profile)
    run = values["runs"][0]
    assert run["invoke_ms"]["p50"] > 0
    assert (run["warm_up_ms"] is None) == (sampling == "clip")
    assert run["sustained"] is run["flat_out"] is None


def test_two_bundles_side_by_side(
    make_bundle: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = make_bundle(), make_bundle("ntu25", "float32")
    out, plot = tmp_path / "both.json", tmp_path / "both.svg"
    arguments = ["profile", str(first), str(second), "--updates", "25", "--sustained", "0.1"]
    assert main([*arguments, "--out", str(out), "--plot", str(plot)]) == 0
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert "second/first" in text
    values = json.loads(out.read_text())
    assert fits(values, Comparison)
    assert values["ratios"][0]["rounds"] == 3
    ratio = values["ratios"][0]["update"]
    assert 0 < ratio["p25"] <= ratio["p50"] <= ratio["p75"]
    ElementTree.fromstring(plot.read_text())


def test_wrong_arguments_end_with_2(
    make_bundle: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(make_bundle())
    for arguments in (
        ["--plot", str(tmp_path / "plot.png")],
        ["--updates", "0"],
        ["--fps", "nan"],
        ["--threads", "0"],
        ["--source", "video.mp4"],
        ["--estimator", "mediapipe"],
        [str(path), "--source", "video.mp4", "--estimator", "mediapipe"],
        ["--updates", "1", "--sustained", "0", "--plot", str(Path(path) / "x.svg")],
        [str(tmp_path / "none.tflite")],
    ):
        assert main(["profile", path, *arguments]) == 2, arguments
        message = capsys.readouterr().err
        assert "expected:" in message
        assert "Traceback" not in message


# ---- pose and action --------------------------------------------------------------------------------------------


class FakeEstimator:
    """Gives the golden poses, nobody in every fifth picture."""

    name, layout = "fake", "ntu25"
    units: Units = "metres"

    def __init__(self, poses: FloatArray) -> None:
        self._poses, self._calls = poses, 0

    def __call__(self, image: Image) -> Estimate:
        self._calls += 1
        poses = self._poses[self._calls : self._calls + (self._calls % 5 > 0)]
        return Estimate(poses, poses)

    def close(self) -> None:
        """Nothing to let go of."""


def pictures(count: int) -> Iterator[ImageFrame]:
    return (ImageFrame(index / 30, np.zeros((4, 4, 3), np.uint8)) for index in range(count))


def test_pose_and_action_are_measured_together(make_bundle: Callable[..., Path], measured: Profile) -> None:
    recognizer = Recognizer.load(make_bundle())
    estimator = FakeEstimator(recognizer.bundle.golden["poses"][0])
    told: list[str] = []
    pipeline = profile_pipeline(pictures(100), estimator, recognizer, frames=20, progress=told.append)
    assert pipeline["frames"] == 20
    assert pipeline["people_per_frame"] == pytest.approx(16 / 20)
    assert told
    whole: Profile = {**measured, "pipeline": pipeline}
    assert fits(json.loads(json.dumps(whole)), Profile)
    assert "whole frame" in profile_table(whole)
    for few in (0, 1):
        with pytest.raises(AsmaError, match="too few"):
            profile_pipeline(pictures(few), estimator, recognizer)


def test_an_estimator_of_another_layout_is_refused(make_bundle: Callable[..., Path]) -> None:
    recognizer = Recognizer.load(make_bundle(), layout="coco17")
    estimator = FakeEstimator(recognizer.bundle.golden["poses"][0])
    with pytest.raises(LayoutError, match="estimator"):
        profile_pipeline(pictures(3), estimator, recognizer)


# ---- the example ------------------------------------------------------------------------------------------------


def test_the_example_prints_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("profile_on_pi", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    out = tmp_path / "profile.json"
    monkeypatch.setattr(sys, "argv", ["profile_on_pi", "--updates", "3", "--seconds", "0.1", "--out", str(out)])
    assert example.main() == 0
    text = capsys.readouterr().out
    for name in ("model", "machine", "time", "FPS", "memory", "start"):
        assert name in text
    assert fits(json.loads(out.read_text()), Profile)
    monkeypatch.setattr(sys, "argv", ["profile_on_pi", str(tmp_path / "none")])
    assert example.main() == 2
