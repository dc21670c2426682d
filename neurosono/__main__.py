"""`python -m neurosono`: the command, where its script is not on the path."""

import sys

from neurosono.scripts.main import main

if __name__ == "__main__":
    sys.exit(main())
