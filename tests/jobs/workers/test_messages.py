"""Who does the work."""

from __future__ import annotations

import pytest

from upscaler import PlanError
from upscaler.jobs.workers.messages import WorkerOptions


@pytest.mark.parametrize("options", [{}, {"devices": ("cpu", "cpu"), "cluster": "local"}])
def test_either_devices_or_a_cluster_do_the_work(options: dict[str, object]) -> None:
    with pytest.raises(PlanError, match="`devices` and `cluster`: one of them says who does the work"):
        WorkerOptions(**options)  # type: ignore[arg-type]


def test_a_dry_run_looks_at_the_first_device() -> None:
    assert WorkerOptions(("cuda:1", "cpu")).first == "cuda:1"
    assert WorkerOptions(("all",)).first is None
    assert WorkerOptions(cluster="local").first is None
