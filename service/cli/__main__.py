"""`python -m service.cli`, for where the `cohort` script is not installed."""

import sys

from service.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
