"""The models that are part of the package."""

from __future__ import annotations

from pathlib import Path

from asma_edge.errors import BundleError

_MODELS = Path(__file__).parent / "models"


def builtin_names() -> list[str]:
    """Names that `builtin_path` knows."""
    return sorted(path.stem for path in _MODELS.glob("*.tflite"))


def builtin_path(name: str) -> Path:
    """The bundle of a built-in model.

    Raises:
        BundleError: there is no such model.
    """
    if name not in builtin_names():
        raise BundleError(
            f"no built-in model '{name}'",
            expected="one of " + ", ".join(builtin_names()),
            got=repr(name),
            hint="use the path of a bundle of your own",
        )
    return _MODELS / f"{name}.tflite"


def model_path(name: str) -> Path:
    """A bundle by path or, where no such file exists, by the name of a built-in model."""
    path = Path(name)
    if path.exists() or name not in builtin_names():
        return path  # `read_bundle` says what is wrong with a path
    return builtin_path(name)


def example_path(model: Path) -> Path | None:
    """The recording on which a built-in model may be tried; None for other bundles."""
    path = model.with_suffix(".jsonl.gz")
    return path if path.parent == _MODELS and path.exists() else None
