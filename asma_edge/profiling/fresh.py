"""A process that does what a device program does, from its first line on, and says what each step took.

Run by its path, never imported: `import asma_edge` must be one of the things measured. Arguments: the folder that holds
the package asma_edge, the bundle, threads, updates. Prints one JSON object.
"""

import time

_STARTED = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402


def main() -> None:
    """Measure this process, which does nothing else, and print JSON."""
    folder, bundle, threads, updates = sys.argv[1:]
    if folder not in sys.path:
        sys.path.append(folder)
    memory = {"python_mib": _status("VmRSS")}
    marks = [time.perf_counter()]

    def mark(name: str) -> None:
        marks.append(time.perf_counter())
        memory[f"{name}_mib"] = _status("VmRSS")

    import numpy as np

    mark("numpy")
    try:
        import ai_edge_litert.interpreter  # noqa: F401
    except ImportError:
        import tflite_runtime.interpreter  # noqa: F401
    mark("runtime")
    from asma_edge import Recognizer

    mark("asma_edge")
    recognizer = Recognizer.load(bundle, num_threads=int(threads))
    mark("loaded")
    poses, info = recognizer.bundle.golden["poses"][0], recognizer.info
    poses = np.concatenate([poses, poses[-2:0:-1]])  # to and fro
    warm_up_ms = None
    if info.sampling == "clip":
        started = time.perf_counter()
        recognizer.predict(poses)
        first_call_ms = (time.perf_counter() - started) * 1e3
        for _ in range(int(updates)):
            recognizer.predict(poses)
    else:
        stream, started = recognizer.stream(warm_up=False), time.perf_counter()
        stream.update(poses[0], 0.0)
        first_call_ms = (time.perf_counter() - started) * 1e3
        stream, started = recognizer.stream(), time.perf_counter()
        stream.update(poses[0], 0.0)
        warm_up_ms = (time.perf_counter() - started) * 1e3
        for index in range(1, int(updates)):
            stream.update(poses[index % len(poses)], index / info.fps)
    memory["running_mib"], memory["peak_mib"] = _status("VmRSS"), _status("VmHWM")
    numpy_ms, runtime_ms, asma_edge_ms, load_ms = (np.diff(marks) * 1e3).tolist()
    values = {
        "started": _STARTED,
        "imports": {"numpy_ms": numpy_ms, "runtime_ms": runtime_ms, "asma_edge_ms": asma_edge_ms},
        "load_ms": load_ms,
        "first_call_ms": first_call_ms,
        "warm_up_ms": warm_up_ms,
        "memory": memory,
    }
    print(json.dumps(values))


def _status(name: str) -> float | None:
    """A figure of /proc/self/status, MiB; None where the system does not give it."""
    try:
        with open("/proc/self/status") as file:
            return next((int(line.split()[1]) / 1024 for line in file if line.startswith(name + ":")), None)
    except OSError:
        return None


if __name__ == "__main__":
    main()
