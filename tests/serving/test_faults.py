"""The endpoint as a command, in front of a server that fails, killed in between."""

from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="needs the extra serve")

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_request_is_answered_properly_and_counted(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY)
    from benchmarks.speed import serving_faults

    words = "--queries 400 --at-a-time 50 --kill-after 100 --seconds 0.05 --output"
    row = serving_faults.main([*words.split(), str(tmp_path)])
    assert row["improper"] == row["uncounted"] == row["other_errors"] == 0
    known = sum(row[code] for code in serving_faults.ERRORS)
    assert row["answered"] + known == 400
    assert row["answered"] >= 360
    # Those whose connection was lost may have been counted, and were asked again.
    assert 400 <= row["counted"] <= 400 + row["lost_when_killed"]
    assert row["lost_when_killed"] <= 50
    # What failed for good is counted as spent.
    assert row["spent_per_query"] * row["counted"] >= row["samples_told"]
    # So few queries cannot be nearer: the spread of a query is larger than its mean.
    assert row["spent_ratio"] == pytest.approx(1, abs=0.35)
    assert row["memory_growth_mib"] < 30
