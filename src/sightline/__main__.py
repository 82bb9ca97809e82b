"""`python -m sightline VERB ...`, which is also what `accelerate launch -m sightline` runs."""

import sys

from .cli import main

sys.exit(main())
