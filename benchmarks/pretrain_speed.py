#!/usr/bin/env python3
"""A step of pretraining against one written plainly after the paper's ancestors (`plain_pretraining.py`).

Same networks (the paper's: ten blocks, projector of width 6144), same batch, forward, backward and Adam; the two take
turns.
``--people 2``: two people in every clip; 1: one, whose absent partner the plain step computes as zeros.

    python benchmarks/pretrain_speed.py [--batch 32] [--people 1 2] [--precision float32|bf16] [--profile] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Sequence

import torch
from contest import contest
from plain_pretraining import PlainStep
from torch import Tensor

from asma_edge.skeleton import get_layout
from asma_trainer.data.batches import Batch
from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.engine.compute import Compute
from asma_trainer.methods.registry import method_of
from asma_trainer.recipe.recipe import load_recipe

LAYOUT = get_layout("ntu25")


def clips(count: int, people: int, frames: int) -> Batch:
    """Random clips with ``people`` present in each."""
    x = torch.randn(count * people, frames + 1, LAYOUT.num_joints, 3, generator=torch.Generator().manual_seed(0))
    return Batch(x, torch.arange(count).repeat_interleave(people), torch.zeros(count, dtype=torch.int64))


def plain_clips(batch: Batch, people: int) -> Tensor:
    """(N, C, T, V, M = 2) the same clips; an absent person is zeros."""
    x = batch.frames[:, 1:].view(batch.clips, people, *batch.frames[:, 1:].shape[1:])
    x = torch.cat([x, torch.zeros_like(x)], dim=1)[:, :2]
    return x.permute(0, 4, 2, 3, 1).contiguous()


def training(
    loss_of: Callable[[torch.Generator], Tensor], parameters: Sequence[Tensor], fused: bool
) -> Callable[[], None]:
    """One step of Adam."""
    optimiser = torch.optim.Adam(parameters, lr=1e-4, weight_decay=1e-5, fused=fused)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        loss = loss_of(generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def steps(batch: int, people: int, width: int, bf16: bool) -> dict[str, Callable[[], None]]:
    """{"ours": a step of this trainer, "plain": one of the ancestors' kind}."""
    recipe = load_recipe("paper-ntu60", {"pretrain.width": width, "streams": ["joint"], "fusion": [1.0]})
    info = DatasetInfo(LAYOUT, 30.0, "metres", ("a", "b"), (0, 1))
    torch.manual_seed(0)
    ours = method_of(recipe)(info, recipe, ("joint",)).train()
    mask, pretrain = recipe.mask, recipe.pretrain
    plain = PlainStep(LAYOUT, width, pretrain.redundancy, recipe.encoder.dropout, mask.joints, mask.frames).train()
    given, compute = clips(batch, people, recipe.data.frames), Compute(bf16=bf16)

    def our_loss(generator: torch.Generator) -> Tensor:
        with compute.autocast():
            loss: Tensor = ours(given, generator)[0]
        return loss

    x = plain_clips(given, people)
    return {
        "ours": training(our_loss, list(ours.parameters()), fused=True),
        "plain": training(lambda generator: plain(x, generator), list(plain.parameters()), fused=False),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the contest; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32, help="clips a step (32)")
    parser.add_argument("--people", type=int, nargs="+", choices=(1, 2), default=[2, 1], help="people a clip")
    parser.add_argument("--width", type=int, default=6144, help="of the projector (6144)")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32", help="of our step")
    parser.add_argument("--repeats", type=int, default=5, help="steps that count (5)")
    parser.add_argument("--threads", type=int, default=1, help="of both (1)")
    parser.add_argument("--profile", action="store_true", help="also print where our step's time goes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    rows = {}
    for people in options.people:
        calls = steps(options.batch, people, options.width, options.precision == "bf16")
        medians = contest(calls, options.repeats, warm_up=1)
        seconds = {name: median / 1e3 for name, (median, _) in medians.items()}
        rows[str(people)] = {"ours_s": seconds["ours"], "plain_s": seconds["plain"]}
        rows[str(people)]["ratio"] = seconds["plain"] / seconds["ours"]
        if options.profile:
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
                calls["ours"]()
            print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=15), file=sys.stderr)
    result = {
        "batch": options.batch, "width": options.width, "precision": options.precision, "threads": options.threads,
        "machine": platform.processor() or platform.machine(), "torch": torch.__version__, "people": rows,
    }  # fmt: skip
    if options.json:
        print(json.dumps(result, indent=1))
        return 0
    print(f"batch {options.batch}, width {options.width}, {options.precision}, {options.threads} thread(s)")
    for people, row in rows.items():
        print(f"people {people}: ours {row['ours_s']:.2f} s, plain {row['plain_s']:.2f} s, ratio {row['ratio']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
