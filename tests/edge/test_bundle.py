"""The bundle file: what is written is read back, and nothing else is accepted."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asma_edge import checksum
from asma_edge.archive import pack, unpack
from asma_edge.arrays import pack_arrays, unpack_arrays
from asma_edge.bundle import BundleInfo, read_bundle, write_bundle
from asma_edge.errors import BundleError
from asma_edge.preprocess import PreprocessSpec
from asma_edge.reference import Reference
from asma_edge.skeleton import get_layout

MODEL = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 4  # what matters here is that it looks like a model
LAYOUT = get_layout("body13")
INFO = BundleInfo(
    name="tiny",
    mode="clip",
    sampling="window",
    precision="int8",
    streams=("joint", "motion"),
    fusion=(0.6, 0.4),
    layout=LAYOUT,
    fps=30.0,
    window=4,
    preprocess=PreprocessSpec(),
    labels=("idle", "wave"),
    idle_label="idle",
    provenance={"data": "generated", "licence": "none needed"},
)


def golden() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = {"poses": (2, 14, 13, 3), "frames": (2, 14, 13, 3), "logits": (2, 2, 2), "scores": (2, 2)}
    shapes |= {"input.joint": (2, 4, 13, 3), "input.motion": (2, 4, 13, 3)}
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.tflite"
    write_bundle(path, MODEL, INFO, golden=golden(), report={"stages": [1, 2.5]}, card="# Tiny\n")
    return path


def parts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forge(path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A bundle of any members with a correct digest: what an attacker can make."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.comment = b"0" * 64
        for name, content in members:
            archive.writestr(name, content)
    body = MODEL + buffer.getvalue()[:-64]
    path.write_bytes(body + hashlib.sha256(body).hexdigest().encode())
    return path


def changed(path: Path, name: str, content: bytes) -> Path:
    return forge(path, list({**parts(path), name: content}.items()))


def test_what_is_written_is_read_back(path: Path) -> None:
    bundle = read_bundle(path)
    assert bundle.info == INFO
    assert bundle.model == MODEL
    assert bundle.report == {"stages": [1, 2.5]}
    assert bundle.card == "# Tiny\n"
    assert bundle.size == path.stat().st_size
    assert bundle.golden.keys() == golden().keys()
    for name, values in golden().items():
        np.testing.assert_array_equal(bundle.golden[name], values)


def test_the_same_bundle_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.tflite"
    write_bundle(again, MODEL, INFO, golden=golden(), report={"stages": [1, 2.5]}, card="# Tiny\n")
    assert again.read_bytes() == path.read_bytes()


def test_any_zip_tool_opens_it_and_numpy_reads_its_golden_vectors(path: Path) -> None:
    assert list(parts(path)) == ["asma.json", "report.json", "golden.npz", "card.md"]
    with np.load(io.BytesIO(parts(path)["golden.npz"]), allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["scores"], golden()["scores"])


def test_truncated_and_altered_files_are_refused(path: Path) -> None:
    data = path.read_bytes()
    random = np.random.default_rng(1)
    places = {*random.integers(0, len(data), 150).tolist(), *range(len(data) - 90, len(data)), *range(8)}
    for place in places:
        path.write_bytes(data[:place])
        with pytest.raises(BundleError):
            read_bundle(path)
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :])
        with pytest.raises(BundleError):
            read_bundle(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(BundleError):
        read_bundle(path)


def reference() -> Reference:
    features = np.random.default_rng(0).normal(size=(5, 2, 8)).astype(np.float32)
    return Reference(features, np.array([0, 1, 0, 1, 1]))


def test_features_come_back_within_half_a_step_and_may_be_missing(path: Path) -> None:
    assert read_bundle(path).reference is None
    write_bundle(path, MODEL, INFO, golden=golden(), report={}, card="", reference=reference())
    bundle, expected = read_bundle(path), reference()
    assert bundle.reference is not None
    steps = np.ptp(expected.features, axis=(0, 2), keepdims=True) / 255
    assert (np.abs(bundle.reference.features - expected.features) <= 0.51 * steps).all()
    np.testing.assert_array_equal(bundle.reference.labels, expected.labels)
    assert bundle.sha256 == hashlib.sha256(path.read_bytes()[:-64]).hexdigest()


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": np.array([0, 1, 0, 1, 2.0])},
        {"labels": np.array([0, 1, 0, 1, 0.5])},
        {"labels": np.array([0, 1, 0, 1, np.nan])},
        {"labels": np.zeros(4)},
        {"low": np.full((1, 2, 1), np.inf)},
        {"step": np.full((1, 2, 1), np.nan)},
        {"step": np.ones((1, 3, 1))},
        {"steps": np.zeros((5, 2, 8))},
        {"steps": np.zeros((0, 2, 8), np.uint8), "labels": np.zeros(0)},
        {"steps": np.zeros((5, 3, 8), np.uint8)},
        {"more": np.zeros(1)},
    ],
)
def test_features_that_do_not_fit_are_refused(path: Path, wrong: dict[str, np.ndarray]) -> None:
    write_bundle(path, MODEL, INFO, golden=golden(), report={}, card="", reference=reference())
    arrays = {**unpack_arrays(parts(path)["reference.npz"], 1 << 20, small=True), **wrong}
    with pytest.raises(BundleError):
        read_bundle(changed(path, "reference.npz", pack_arrays(arrays)))


@pytest.mark.parametrize("content", [b"", b"TFL3", MODEL, b"PK\5\6" + bytes(18), b"\0" * 10_000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.tflite"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="not a usable bundle"):
        read_bundle(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.tflite", tmp_path):
        with pytest.raises(BundleError, match="cannot read"):
            read_bundle(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_unknown_missing_and_path_like_members_are_refused(path: Path) -> None:
    members = list(parts(path).items())
    for wrong in (
        [*members[:3], members[0]],
        [*members[:3], ("../card.md", b"x")],
        [*members[:3], ("/etc/passwd", b"x")],
        [*members, ("extra.bin", b"x")],
        members[:3],
        [],
    ):
        with pytest.raises(BundleError):
            read_bundle(forge(path, wrong))


def test_a_member_that_unpacks_to_too_much_is_refused(path: Path) -> None:
    with pytest.raises(BundleError, match="too large"):
        read_bundle(changed(path, "card.md", b"a" * (2 * 1024 * 1024)))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_a_limit_are_refused(path: Path, method: int) -> None:
    with pytest.raises(BundleError, match="packed in another way"):
        read_bundle(forge(path, list(parts(path).items()), method))


def test_many_members_are_refused(path: Path) -> None:
    members = [*parts(path).items(), *((f"{number}", b"") for number in range(200))]
    forge(path, members)
    with pytest.raises(BundleError, match="too many parts"):
        read_bundle(path)


MEMBERS = {"a": b"some text " * 40, "b": b"", "ü": bytes(range(256))}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_are_read_as_zipfile_writes_them(method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
    assert unpack(buffer.getvalue(), 10_000, 3) == MEMBERS
    with zipfile.ZipFile(io.BytesIO(pack(MEMBERS, b"remark"))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == MEMBERS
        assert archive.comment == b"remark"
    assert unpack(pack(MEMBERS, b"remark"), dict.fromkeys(MEMBERS, 400), 3, comment=6) == MEMBERS


def test_no_changed_byte_of_an_archive_gives_other_contents() -> None:
    whole = pack(MEMBERS)
    with pytest.raises(BundleError, match="too many"):
        unpack(whole, 10_000, 2)
    with pytest.raises(BundleError, match="too much"):
        unpack(whole, 655, 3)
    for place in range(len(whole)):
        for value in (whole[place] ^ 1, whole[place] ^ 0x80, 0, 255):
            mutant = whole[:place] + bytes([value]) + whole[place + 1 :]
            with contextlib.suppress(BundleError, ValueError, struct.error, zlib.error):
                # Names, times and what zipfile notes for itself have no checksum.
                assert set(unpack(mutant, 10_000, 3).values()) == set(MEMBERS.values())
    for end in range(len(whole)):
        with pytest.raises((BundleError, ValueError, struct.error, zlib.error)):
            unpack(whole[:end], 10_000, 3)


def test_a_size_that_lies_unpacks_no_more() -> None:
    whole = pack({"a": bytes(1 << 20)})
    for length in (10, (1 << 20) + 1):
        lie = whole.replace(struct.pack("<L", 1 << 20), struct.pack("<L", length))
        with pytest.raises(BundleError, match="not what the archive says"):
            unpack(lie, 2 << 20, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", 3),
        ("format", 0),
        ("format", True),
        ("format", "1"),
        ("model_sha256", "0" * 64),
        ("model_bytes", 1),
        ("mode", "other"),
        ("mode", ["clip"]),
        ("precision", None),
        ("sampling", 1),
        ("streams", ["joint", "joint"]),
        ("streams", "joint"),
        ("streams", ["joint"]),
        ("fusion", [0.6, 0.6]),
        ("fusion", [True, False]),
        ("fusion", [1.6, -0.6]),
        ("fps", 0),
        ("fps", "30"),
        ("window", 4.5),
        ("window", -4),
        ("window", 5),
        ("labels", ["idle", "idle"]),
        ("labels", []),
        ("labels", ["idle", 3]),
        ("labels", ["idle", "red\x1b[31m"]),
        ("labels", ["idle", "two\nlines"]),
        ("labels", ["idle", "back\u202ewards"]),
        ("labels", ["idle", "x" * 201]),
        ("name", "bell\x07"),
        ("idle_label", "sleep"),
        ("idle_label", []),
        ("temperature", 0),
        ("layout", "nonsense"),
        ("layout", {"name": "x"}),
        ("layout", "coco17"),
        ("preprocess", {"steps": ["fly"], "units": "metres", "version": 1}),
        ("preprocess", {"steps": ["fill"], "units": "metres", "version": 99}),
        ("preprocess", 7),
        ("decision", {"enter": 2}),
        ("parameters", -1),
        ("macs", 1.5),
        ("hop", 0),
        ("hop", True),
        ("hop", 2),
        ("hop", 1 << 40),
        ("early_fusion", 1),
        ("early_fusion", None),
        ("early_fusion", True),
        ("provenance", []),
        ("name", "../x"),
        ("unknown", 1),
    ],
)
def test_wrong_values_in_asma_json_are_refused(path: Path, name: str, value: object) -> None:
    values = {**json.loads(parts(path)["asma.json"]), name: value}
    with pytest.raises(BundleError):
        read_bundle(changed(path, "asma.json", json.dumps(values).encode()))


def test_a_bundle_of_format_1_is_read(path: Path) -> None:
    values = json.loads(parts(path)["asma.json"])
    assert values.pop("needs") == "0.2.0"
    assert values.pop("hop") == 1
    assert values.pop("early_fusion") is False
    old = changed(path, "asma.json", json.dumps({**values, "format": 1}).encode())
    assert read_bundle(old).info == read_bundle(path).info


def test_a_bundle_of_a_newer_version_says_which_is_needed(path: Path) -> None:
    values = json.loads(parts(path)["asma.json"])
    newer = {**values, "format": 9, "needs": "7.1", "something": "unknown"}
    with pytest.raises(BundleError, match=r"needs asma-edge '7\.1'"):
        read_bundle(changed(path, "asma.json", json.dumps(newer).encode()))


@pytest.mark.parametrize("name", [n for n in INFO.to_dict() if n not in ("familiarity", "hop", "early_fusion")])
def test_no_value_may_be_missing(path: Path, name: str) -> None:
    values = json.loads(parts(path)["asma.json"])
    del values[name]
    with pytest.raises(BundleError, match="not a usable bundle"):
        read_bundle(changed(path, "asma.json", json.dumps(values).encode()))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b"1" * 10_000])
@pytest.mark.parametrize("name", ["asma.json", "report.json"])
def test_malformed_json_is_refused(path: Path, name: str, content: bytes) -> None:
    with pytest.raises(BundleError):
        read_bundle(changed(path, name, content))


def npz(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name + ".npy", content)
    return buffer.getvalue()


def npy(array: np.ndarray, **options: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def test_hostile_arrays_are_refused(path: Path) -> None:
    good = {name.replace(".", "_"): npy(values) for name, values in golden().items()}
    huge = npy(np.zeros((2, 2), np.float32)).replace(b"(2, 2)", b"(9999999, 9999999)")
    for scores in (
        npy(np.array([{}], dtype=object)),
        npy(np.zeros((2, 2))),
        huge,
        b"\x93NUMPY",
        b"",
        npy(golden()["poses"]),
    ):
        with pytest.raises(BundleError):
            read_bundle(changed(path, "golden.npz", npz(**{**good, "scores": scores})))
    for content in (b"", b"PK", npz(), npz(**{f"a{i}": b"" for i in range(100)}), npz(scores=b"\0" * (65 << 20))):
        with pytest.raises(BundleError):
            read_bundle(changed(path, "golden.npz", content))


def test_a_bundle_that_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "wrong.tflite"
    wrong_golden = {**golden(), "scores": np.zeros((2, 9), np.float32)}
    for model, arrays, report in (
        (b"not a model", golden(), {}),
        (MODEL, wrong_golden, {}),
        (MODEL, {}, {}),
        (MODEL, golden(), {"accuracy": float("nan")}),
        (MODEL, golden(), {"path": path}),
    ):
        with pytest.raises(BundleError):
            write_bundle(path, model, INFO, golden=arrays, report=report, card="")
    assert list(tmp_path.iterdir()) == []


def test_a_plain_interpreter_opens_a_real_bundle(make_bundle: Callable[..., Path]) -> None:
    from ai_edge_litert.interpreter import Interpreter

    signatures = Interpreter(model_path=str(make_bundle()), num_threads=1).get_signature_list()
    assert set(signatures) == {"clip", "stream"}
    assert set(signatures["clip"]["inputs"]) == {"joint", "bone", "motion"}


def test_the_digest_is_hashlibs_with_and_without_the_module_of_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"", b"abc", MODEL * 100):
        assert checksum.sha256(data) == checksum.sha256(memoryview(data)) == hashlib.sha256(data).hexdigest()

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(checksum.importlib, "import_module", missing)
    assert checksum._find() is hashlib.sha256
