"""``asma-edge verify``: does this machine compute what the bundle's golden vectors say?"""

from __future__ import annotations

import argparse

from asma_edge.bundle import read_bundle
from asma_edge.cli.shared import GATE_FAILED, OK, Commands, add_command, add_threads, print_json, quiet_stderr
from asma_edge.verify import verify


def add(commands: Commands) -> None:
    """Add the command."""
    text = "Recompute the bundle's golden vectors; exit 3 if this machine differs."
    add_threads(add_command(commands, "verify", _verify, text))


def _verify(options: argparse.Namespace) -> int:
    with quiet_stderr():
        checks = verify(read_bundle(options.model), options.threads)
    passed = all(check.passed for check in checks)
    if options.json:
        print_json({"passed": passed, "checks": [check.to_dict() for check in checks]})
    else:
        for check in checks:
            mark = "ok" if check.passed else "FAILED"
            print(f"{check.name:16} difference {check.difference:.2e}, allowed {check.tolerance:.2e}  {mark}")
    return OK if passed else GATE_FAILED
