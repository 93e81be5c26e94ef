"""SHA-256 without OpenSSL: `hashlib` would load its library, 3.5 MiB of memory for one digest a bundle."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any


def sha256(data: bytes | memoryview) -> str:
    """64 hexadecimal digits."""
    digits: str = _sha256(data).hexdigest()
    return digits


def _find() -> Callable[[bytes | memoryview], Any]:
    """Python's own implementation, which `hashlib` takes where there is no OpenSSL; else the one of `hashlib`."""
    for name in ("_sha2", "_sha256"):  # from Python 3.12 on; before
        try:
            module: ModuleType = importlib.import_module(name)
        except ImportError:
            continue
        found: Callable[[bytes | memoryview], Any] = module.sha256
        return found
    import hashlib

    return hashlib.sha256


_sha256 = _find()
