"""What all tests share: a cache folder of their own, so that nothing is remembered from run to run; and signals."""

import signal
from pathlib import Path

import pytest

for name in ("SIGINT", "SIGHUP"):
    # Ignored where tests run in the background, which the programs that they start would inherit, and heed.
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path / "home"))
