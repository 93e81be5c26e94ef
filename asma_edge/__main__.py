"""``python -m asma_edge``: the command asma-edge."""

import sys

from asma_edge.cli import main

if __name__ == "__main__":
    sys.exit(main())
