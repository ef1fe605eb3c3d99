"""``python -m skphx``: the command line."""

import sys

from skphx.cli import main

if __name__ == "__main__":
    sys.exit(main())
