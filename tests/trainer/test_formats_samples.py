"""Original files of the published sets give the poses that were taken from them independently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.formats import ImportOptions, import_source, load_format
from asma_trainer.formats.parse.names import canonical_joints

SHARED = Path(__file__).parents[3] / "shared"


@pytest.mark.parametrize(
    ("format_", "samples", "reference"),
    [
        ("utd-mhad", "utd_mhad_mat", "utd_mhad"),
        ("irds", "irds_txt", "irds"),
        ("nw-ucla", "nw_ucla_json", "nw_ucla"),
        ("hdm05", "asf_amc", "hdm05_11"),
    ],
)
def test_samples_equal_the_reference(tmp_path: Path, format_: str, samples: str, reference: str) -> None:
    folder, path = SHARED / "formats" / samples, SHARED / "data" / reference / f"{reference}.npz"
    if not (folder.is_dir() and path.is_file()):
        pytest.skip("the original samples are not at hand: they may not be distributed")
    import_source(load_format(format_).open_source(folder, ImportOptions()), tmp_path / "out")
    data = PreparedDataset.open(tmp_path / "out")
    with np.load(path) as arrays:
        names = arrays["name"].tolist()
        offsets, scale = arrays["offsets"], float(arrays["scale"])
        joints = canonical_joints(arrays["joint_names"].tolist())
        classes = arrays["class_names"][arrays["label"]]
        xyz = arrays["xyz"]
    for number, name in enumerate(data.name.tolist()):
        row = names.index(name)
        expected = xyz[offsets[row] : offsets[row + 1]] * scale
        order = [joints.index(joint) for joint in data.info.layout.joints]
        # The reference is in steps of 0.2 mm: half a step of rounding, and the float32 of both.
        np.testing.assert_allclose(data.clip(number)[:, 0], expected[:, order], rtol=0, atol=1.01e-4)
        assert data.info.classes[data.label[number]] == classes[row]
