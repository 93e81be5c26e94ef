"""Clips in several threads: LiteRT, PyTorch and NumPy compute without holding Python's lock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import torch

Part = TypeVar("Part")

_LEAST = 8  # clips that are worth a thread and an interpreter of its own


def in_parts(work: Callable[[slice], Part], count: int) -> list[Part]:
    """``work(slice)`` of consecutive parts of ``count`` clips, in their order.

    There are as many parts as PyTorch takes threads, so whoever limits one limits both. Within a part PyTorch takes one
    thread: parts that wait for nobody lose less to other programs than operators that divide each step among threads.
    """
    threads = torch.get_num_threads()
    parts = max(1, min(threads, count // _LEAST))
    bounds = [count * number // parts for number in range(parts + 1)]
    slices = [slice(start, stop) for start, stop in pairwise(bounds)]
    if parts == 1:
        return [work(slices[0])]
    try:
        with ThreadPoolExecutor(parts, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, slices))
    finally:
        torch.set_num_threads(threads)
