"""Everything that must be seen on a real GPU, in one command that takes at most 500 seconds.

Each check is a process of its own with a limit, so that one that is ended by an illegal access, or is too slow, ends
alone. What it finds is printed and written to a JSON file at once, the summary comes last. The order is that of
importance: a machine that is taken away early has seen what matters most. The checks are in `gpu/`; README.md beside
this file says how to prepare a machine that lacks our libraries.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from gpu.prepare import CARRIED, NEEDED
from gpu.run import ROOT, Report, Run, Skipped


@dataclass(frozen=True)
class Check:
    """A row of the table of checks: the function `check_NAME` of a module of `gpu/`, and the seconds it may take."""

    name: str
    module: str
    limit: float
    expected: float
    """Seconds that it should take on an H200."""


CHECKS = (
    Check("facts", "machine", 40, 20),
    Check("bugs", "correctness", 60, 25),
    Check("tests", "correctness", 90, 45),
    Check("parity", "correctness", 60, 30),
    Check("large", "correctness", 40, 15),
    Check("stages", "throughput", 50, 30),
    Check("networks", "throughput", 60, 35),
    Check("on_device", "throughput", 60, 35),
    Check("memory", "memory", 50, 30),
    Check("repeat", "correctness", 40, 20),
    Check("processes", "throughput", 100, 70),
    Check("peers", "throughput", 70, 35),
    Check("diffusion", "diffusion_size", 90, 60),
    Check("compile", "throughput", 110, 70),
    Check("tile_times", "throughput", 40, 15),
)
BY_REQUEST = {"tile_times"}
"""Checks that run only if they are named by --only."""

LEAST = 10
"""Seconds that must be left for a check to be begun."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [check.name for check in CHECKS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="CHECK", help=f"some of {', '.join(names)}")
    parser.add_argument("--seconds", type=float, default=500, help="after which all ends")
    parser.add_argument("--longest", type=float, help="seconds that each check may take (default: its own limit)")
    parser.add_argument("--dry", action="store_true", help="tiny sizes on the CPU, to see that everything runs")
    folder = Path(os.environ.get("OUT", ROOT / "build" / "benchmarks"))
    parser.add_argument("--out", type=Path, default=folder / "gpu_check.json", help="default: %(default)s")
    parser.add_argument("--carried", type=Path, default=CARRIED, help="made by gpu/prepare.py (default: %(default)s)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    if arguments.child:
        return run_check(arguments)
    arguments.out.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
        arguments.work = Path(work)
        run_all(arguments)
    return summarize(Report(arguments.out))


def run_all(arguments: argparse.Namespace) -> None:
    """Runs the checks that were asked for, one after the other, until the time is over."""
    end = time.monotonic() + arguments.seconds
    report = Report(arguments.out)
    environment = prepare_environment(arguments.work, arguments.carried, arguments.dry)
    for check in CHECKS:
        if check.name not in arguments.only if arguments.only else check.name in BY_REQUEST:
            continue
        left = end - time.monotonic()
        if left < LEAST:
            report.update(check.name, outcome="no time was left", seconds=0)
            continue
        print(f"== {check.name}", flush=True)
        began = time.monotonic()
        # A dry run says nothing about time, and may be on a machine that is busy.
        limit = arguments.longest or (left if arguments.dry else check.limit)
        outcome = run_child(arguments, check, round(min(limit, left), 1), environment)
        seconds = round(time.monotonic() - began, 1)
        report.update(check.name, seconds=seconds, **({"outcome": outcome} if outcome else {}))


def run_child(arguments: argparse.Namespace, check: Check, limit: float, environment: dict[str, str]) -> str | None:
    """Runs a check in a process of its own, which is ended with all that it started when the limit is over.

    Returns what became of it if it could not say so itself.
    """
    command = [sys.executable, __file__, "--child", check.name, "--work", str(arguments.work)]
    command += ["--out", str(arguments.out), "--carried", str(arguments.carried), *(["--dry"] if arguments.dry else [])]
    child = subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)
    try:
        code = child.wait(limit)
    except subprocess.TimeoutExpired:
        return f"it took longer than {limit:g} s"
    finally:  # an interruption too
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return None if code in (0, 1) else f"its process ended with {code}"


def run_check(arguments: argparse.Namespace) -> int:
    """Runs one check in this process, and writes what became of it to the report."""
    check = next(check for check in CHECKS if check.name == arguments.child)
    report = Report(arguments.out)
    report.update(check.name, outcome="its process ended early")
    run = Run(check.name, arguments.dry, arguments.work, arguments.carried, report)
    try:
        getattr(importlib.import_module(f"gpu.{check.module}"), f"check_{check.name}")(run)
    except Skipped as reason:
        report.update(check.name, outcome=f"skipped: {reason}")
        print(f"   skipped: {reason}", flush=True)
        return 0
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        report.update(check.name, outcome=f"{type(error).__name__}: {error}", traceback=traceback.format_exc(limit=-4))
        return 1
    report.update(check.name, outcome="wrong" if run.wrong else "ok")
    return 1 if run.wrong else 0


def prepare_environment(work: Path, carried: Path, dry: bool) -> dict[str, str]:
    """Returns the environment of the checks; libraries that this machine lacks are installed from the carried wheels
    into the work folder."""
    paths = [str(ROOT), str(ROOT / "benchmarks")]
    wheels = sorted((carried / "wheels").glob("*.whl"))
    missing = [name for name, module in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing and wheels:
        site = work / "site"
        print(f"installing {', '.join(missing)} from {carried / 'wheels'}", flush=True)
        options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"]
        wanted = [str(wheel) for wheel in wheels if wheel.name.split("-")[0].lower().replace("_", "-") in missing]
        command = [sys.executable, "-m", "pip", "install", *options, "--target", str(site), *wanted]
        subprocess.run(command, check=True)
        paths.append(str(site))
    elif missing:
        print(f"not installed here, and not carried in {carried}: {', '.join(missing)}", flush=True)
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONWARNINGS": "ignore",
        "DIFFUSERS_VERBOSITY": "error",
        "TQDM_DISABLE": "1",
        "UPSCALER_HOME": str(work / "home"),
        "UPSCALER_OFFLINE": "1",
        # Threads that wait for each other would take most of the time of what is tiny.
        **({"OMP_NUM_THREADS": "1"} if dry else {}),
    }


def summarize(report: Report) -> int:
    """Prints what became of each check. Returns 1 if something is wrong, else 0."""
    print("\n== summary")
    is_right = True
    for name, part in report.read().items():
        outcome = part.get("outcome", "nothing")
        is_right &= outcome == "ok" or outcome.startswith("skipped")
        print(f"{name:10} {part.get('seconds', 0):6.1f} s  {outcome}")
        for key in part.get("wrong", []):
            print(f"{'':21}wrong: {key}: {part['found'][key]}")
    print(f"All of it is in {report.file}.")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
