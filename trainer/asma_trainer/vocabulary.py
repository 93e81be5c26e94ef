"""Names that recipes, networks and files share. No torch: `asma-data` and reading a recipe need none."""

from __future__ import annotations

from typing import Literal

StageName = Literal["pretrain", "finetune", "align", "distill", "baseline", "evaluate"]
Sampling = Literal["window", "clip"]  # fixed rate, for the device; or the whole action resampled, as in the paper
Tokens = Literal["frames", "nodes", "pooled"]  # what the alignment attends to
StudentKind = Literal["device", "paper"]
People = Literal["together", "each"]  # several people of a clip are one sample of a student, or one each
InputNorm = Literal["joint", "scale", "none"]  # one mean and scale a coordinate of a joint; one for all; neither
Partition = Literal["distance", "one-hop"]  # how far from the centre a joint of the graph counts

Encoder = Literal["hdlm", "ldhm"]  # hides high-degree joints and low-motion frames; low-degree and high-motion
Hidden = Literal["high", "low", "random"]  # which joints by their degree, which frames by their motion
ENCODERS: tuple[Encoder, ...] = ("hdlm", "ldhm")
HEADS = 4  # of the alignment's attention

# The paper's networks.
ENCODER_CHANNELS = (16, 16, 16, 16, 32, 32, 32, 64, 64, 256)
ENCODER_STRIDES = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)
ENCODER_DROPOUT = 0.5
STUDENT_CHANNELS = (16, 16, 16, 16, 128)
