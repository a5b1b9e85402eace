"""X."""
SUMMARY="x"
EXAMPLE="x"
def add_arguments(parser): pass
def run(o): pass
