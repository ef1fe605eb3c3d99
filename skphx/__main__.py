"""Entry point of ``python -m skphx``."""

import sys

from skphx.cli import main

if __name__ == "__main__":
    sys.exit(main())
