"""Runs the `mmer` command as `python -m mmer_jax.cli`."""

import sys

from mmer_jax.cli.main import main

sys.exit(main())
