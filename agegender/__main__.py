"""Entry point of `python -m agegender`."""

import sys

from agegender.cli import main

sys.exit(main())
