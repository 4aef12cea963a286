"""What a check is given: where it computes, how it measures time, and a report that is on disk after every finding."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


class Skipped(Exception):
    """Raised by a check that cannot be made here; the message says why."""


class Report:
    """A JSON file with what each check has found. One process at a time writes to it, and reads it before."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> dict[str, dict[str, Any]]:
        """Returns the findings and the outcome of each check, by its name."""
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def update(self, check: str, **facts: Any) -> None:
        """Adds facts to those of a check, so that a process that is killed meanwhile leaves a whole file."""
        report = self.read()
        report.setdefault(check, {}).update(facts)
        temporary = self.file.with_suffix(".tmp")
        temporary.write_text(json.dumps(report, indent=1))
        os.replace(temporary, self.file)


@dataclass
class Run:
    """One check while it runs."""

    name: str
    dry: bool
    """Whether it runs on the CPU with tiny sizes, only to see that it does."""
    work: Path
    """A folder for its files, which later checks see too."""
    carried: Path
    """The folder that `gpu.prepare` filled. It need not exist."""
    report: Report
    found: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def device(self) -> str:
        return "cpu" if self.dry else "cuda:0"

    def say(self, key: str, value: Any, note: str = "", right: bool = True) -> None:
        """Prints a finding and writes it to the report. `right`: whether it is what it should be."""
        self.found[key] = value
        if not right:
            self.wrong.append(key)
        self.report.update(self.name, found=self.found, wrong=self.wrong)
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        print(f"   {key}: {shown}{f' ({note})' if note else ''}{'' if right else '   <-- WRONG'}", flush=True)

    def attempt(self, key: str, work: Callable[[], Any]) -> None:
        """Calls `work`, and says what it returned, or which exception ended it, which is wrong."""
        try:
            value, right = work(), True
        except Exception as error:
            value, right = f"{type(error).__name__}: {str(error)[:200]}", False
        self.say(key, value, right=right)

    def seconds(self, work: Callable[[], object], repeats: int = 5, warm: int = 2) -> float:
        """Returns the median of the seconds that the GPU takes for `work`, between two of its events; on the CPU, those
        of a clock."""
        import torch

        found = []
        for _ in range(1 if self.dry else warm + repeats):
            if self.dry:
                found.append(self.wall(work))
                continue
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            work()
            end.record()
            torch.cuda.synchronize()
            found.append(start.elapsed_time(end) / 1e3)
        return statistics.median(found if self.dry else found[warm:])

    def wall(self, work: Callable[[], object]) -> float:
        """Returns the seconds of a clock until `work`, and what it has left to the GPU, is done."""
        self.synchronize()
        start = time.perf_counter()
        work()
        self.synchronize()
        return time.perf_counter() - start

    def synchronize(self) -> None:
        if not self.dry:
            import torch

            torch.cuda.synchronize()

    def peak(self, work: Callable[[], object]) -> int:
        """Returns the bytes of the GPU that torch held at most during `work`, beyond those it held before."""
        import torch

        if self.dry:
            work()
            return 0
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
