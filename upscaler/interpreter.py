"""Starts Python anew with the packages of this process and nothing of the current folder, which may be a stranger's.

Processes that do what may go wrong are limited in memory and time.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

STATM = Path("/proc/self/statm")


def command(statements: str, *arguments: str) -> list[str]:
    """Returns the command that runs `statements`, one line, with `arguments` in `sys.argv` from 1 on."""
    paths = json.dumps([os.path.abspath(path) for path in sys.path if path])
    program = f"import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); {statements}"
    return [sys.executable, "-I", "-c", program, paths, *arguments]


def limit(memory: int, processor: int, file: int | None = None) -> None:
    """Limits what this process takes from now on: bytes of addresses beyond those that it has, seconds of computing,
    and bytes of each file that it writes. Does nothing on Windows."""
    try:
        import resource
    except ImportError:
        return
    used = int(STATM.read_text().split()[0]) * resource.getpagesize() if STATM.exists() else 0
    limits = {resource.RLIMIT_AS: used + memory, resource.RLIMIT_CPU: processor, resource.RLIMIT_CORE: 0}
    if file is not None:
        limits[resource.RLIMIT_FSIZE] = file
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))
