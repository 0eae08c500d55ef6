"""Some seconds of what `make chaos` does for minutes: no wrong answer, none lost, a clean end."""

import pytest

from tests.chaos.run import Plan, run


@pytest.mark.alone
def test_nothing_is_wrong_or_lost_while_everything_breaks() -> None:
    plan = Plan(
        seconds=6, engine="onnx", overload=1.5, burst=2, burst_seconds=1, kill_every=2,
        reload_every=3,
    )  # fmt: skip
    report = run(plan)
    assert report.failures() == []
    assert report.tally.answered > 50
    assert report.tally.outcomes["refused as it should be"] > 0
    assert report.faults.kills >= 2
    assert report.faults.reloads.total() >= 1
