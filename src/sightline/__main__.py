"""`python -m sightline VERB ...`, which `accelerate launch -m sightline train ...` starts on every rank."""

from .cli import main

raise SystemExit(main())
