"""Show the package at work on the data that comes with it."""

SUMMARY = "the package at work on the data that comes with it"
EXAMPLE = "adaalloc demo --output demo-output"
def add_arguments(parser): pass
def run(o): pass
