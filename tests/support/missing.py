"""What is said where a package is missing."""

import subprocess
import sys

SCRIPT = """
import sys
sys.modules[{package!r}] = None
from sklearn_adaalloc import integrations
try:
    integrations.{call}
except ImportError as error:
    print(error)
"""


def said_without(package, call):
    """What a call says in a process that has not this package."""
    script = SCRIPT.format(package=package, call=call)
    return subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
