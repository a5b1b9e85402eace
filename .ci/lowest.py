#!/usr/bin/env python
"""Print the declared lower bounds as constraints for pip: `numpy>=2.0` as `numpy==2.0`.

    python .ci/lowest.py > lowest.txt

torch is left to the package index: for years back it has builds of gigabytes only, so
that the release which pip finds is tested. ruff looks at code and runs none.
"""

import re
from pathlib import Path

import tomllib

LEFT_OUT = {"torch", "ruff"}
EXTRAS = ("plot", "verify", "openai", "serve", "datasets", "test")
BOUND = re.compile(r"(?P<name>[\w.-]+)(\[.*\])?>=(?P<version>[\w.]+)( *;.*)?$")


def lowest(project):
    """Name and lowest version of every requirement that has one."""
    requirements = list(project["dependencies"])
    for extra in EXTRAS:
        requirements += project["optional-dependencies"][extra]
    for requirement in requirements:
        bound = BOUND.match(requirement)
        if bound and bound["name"] not in LEFT_OUT:
            yield bound["name"], bound["version"]


if __name__ == "__main__":
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    for name, version in dict(lowest(tomllib.loads(text)["project"])).items():
        print(f"{name}=={version}")
