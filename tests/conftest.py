"""What all tests share: a cache folder of their own, so that nothing is remembered between runs; signals; threads."""

import os
import signal
from pathlib import Path

import pytest

for name in ("SIGINT", "SIGHUP"):
    # Ignored where tests run in the background, which the programs that they start would inherit, and heed.
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, name), signal.SIG_DFL)

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many processes as cores run tests: threads of each would wait for those of the others.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path / "home"))
