"""For Pythons without torch (`-p without_torch`): what needs it is skipped, by itself.

A test, a fixture or a test file counts as needing torch when it stops because torch, or
a package built on it, cannot be imported. All else has to pass.
"""

import pytest

ABSENT = {"torch", "transformers", "peft", "skorch"}
REASON = "needs torch"


def needs_torch(error):
    """Whether an exception, or what it came from, is an import of torch that failed."""
    while error is not None:
        if isinstance(error, ImportError) and error.name in ABSENT:
            return True
        error = error.__cause__ or error.__context__
    return False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Skip a test that needs torch."""
    report = yield
    if call.excinfo is not None and needs_torch(call.excinfo.value):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, REASON)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Skip a file that needs torch as it is imported."""
    report = yield
    failed = report.failed and report.call.excinfo
    if failed and needs_torch(failed.value):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, REASON)
    return report
