"""metrics.jsonl, and what the user sees of the training."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tqdm import tqdm

from asma_edge.files import atomic_file

_LINE_SECONDS = 10.0  # between progress lines where there is no terminal


class Log:
    """metrics.jsonl and what the user sees: a bar on a terminal, plain lines elsewhere."""

    def __init__(self, path: Path, start: int, steps: int, title: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        if path.exists():
            # Lines of steps after the checkpoint (the run was killed between the two) will be written again.
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    if json.loads(line)["step"] <= start:
                        kept.append(line + "\n")
                except (ValueError, KeyError, TypeError):
                    break
        with atomic_file(path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._title, self._steps, self._shown = title, steps, time.monotonic()
        self._bar = tqdm(total=steps, initial=start, desc=title, unit="step") if sys.stderr.isatty() else None

    def write(self, step: int, values: dict[str, float]) -> None:
        """Write one line, and show the loss."""
        self._file.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")
        text = f"loss {values['loss']:.4g}"
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._bar.n)
        elif step == self._steps or time.monotonic() - self._shown > _LINE_SECONDS:
            print(f"{self._title}: step {step}/{self._steps}, {text}", file=sys.stderr, flush=True)
            self._shown = time.monotonic()

    def flush(self) -> None:
        """Bring what is written to the disk's care."""
        self._file.flush()

    def close(self) -> None:
        """Close the file and the bar."""
        self._file.close()
        if self._bar is not None:
            self._bar.close()
