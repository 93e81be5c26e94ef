"""``python -m asma_converters.cli``."""

from __future__ import annotations

import sys

from asma_converters.cli import main

if __name__ == "__main__":
    sys.exit(main())
