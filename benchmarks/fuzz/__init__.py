"""Random and coverage-guided inputs for every public entry."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nobody is asked for odd model names
