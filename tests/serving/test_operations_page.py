"""The page on operations names the metrics that there are."""

import re

import faulty_server as faulty
from endpoints import app_of, ask
from package_contents import DOCS
from starlette.testclient import TestClient

# Series of a histogram.
_PARTS = re.compile(r"_(bucket|sum|count)$")


def test_the_page_names_the_metrics_that_there_are():
    with faulty.serving() as server, TestClient(app_of(server)) as client:
        ask(client)
        text = client.get("/metrics").text
    exported = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    page = (DOCS / "operations.rst").read_text()
    table, _, rest = page.partition("What to be woken for")
    assert exported == set(re.findall(r"`(adaalloc_\w+)`", table))
    used = {_PARTS.sub("", name) for name in re.findall(r"adaalloc_\w+", rest)}
    assert used - {"adaalloc_key"} <= exported
