"""The step that the benchmark of pretraining compares with computes what ours computes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from asma_edge.skeleton import get_layout
from asma_trainer.architecture import block_specs
from asma_trainer.losses.barlow import barlow_twins
from asma_trainer.models.pooling import mean_over_people, pool
from asma_trainer.models.stgcn import STGCN, STGCNConfig
from asma_trainer.vocabulary import ENCODER_CHANNELS, ENCODER_STRIDES

FOLDER = Path(__file__).parents[2] / "benchmarks"
NTU = get_layout("ntu25")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def plain() -> ModuleType:
    return load("plain_pretraining")


def renamed(ours: STGCN) -> dict[str, torch.Tensor]:
    """Our weights under the plain encoder's names."""
    weights = {name.replace("graph.mix", "mix").replace("graph.importance", "importance"): value
               for name, value in ours.state_dict().items()}  # fmt: skip
    return weights | {"graph": ours.blocks[0].graph.partitions}  # type: ignore[dict-item, union-attr]


@pytest.mark.parametrize("masked", ["nothing", "joints", "frames"])
def test_plain_encoder_is_ours(plain: ModuleType, masked: str) -> None:
    torch.manual_seed(0)
    ours = STGCN(NTU, STGCNConfig(block_specs(ENCODER_CHANNELS, strides=ENCODER_STRIDES), partition="one-hop"))
    encoder = plain.PlainEncoder(NTU, dropout=0.0)
    for values in ours.buffers():
        if values.dtype == torch.float32 and values.dim() == 1:
            values += torch.rand(values.shape)
    encoder.load_state_dict(renamed(ours))
    ours.eval(), encoder.eval()
    x = torch.randn(3, 2, 20, 25, 3)  # (N, M, T, V, C)
    owner = torch.arange(3).repeat_interleave(2)
    joints = torch.arange(0, 25, 2) if masked == "joints" else None
    frames = torch.stack([torch.arange(n, n + 14) for n in range(3)]) if masked == "frames" else None
    expected = ours(x.flatten(0, 1), joints, None if frames is None else frames.repeat_interleave(2, dim=0))
    found = encoder(x.permute(0, 4, 2, 3, 1), joints, frames)
    torch.testing.assert_close(found, mean_over_people(pool(expected), owner, 3), atol=1e-5, rtol=1e-4)


def test_plain_loss_is_ours(plain: ModuleType) -> None:
    a, b = torch.randn(2, 8, 12, generator=torch.Generator().manual_seed(0))
    step = plain.PlainStep(NTU, 12, 0.05, 0.0, 9, 10)
    torch.testing.assert_close(step._loss(a, b), barlow_twins(a, b, 0.05), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_benchmark_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    sys.modules.pop("plain_pretraining", None)
    assert load("pretrain_speed").main(["--batch", "4", "--width", "64", "--repeats", "1"]) == 0
    assert "ratio" in capsys.readouterr().out
