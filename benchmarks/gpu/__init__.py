"""The checks of `gpu_check.py`, by theme. A function `check_NAME(run)` of a module is the check NAME; see `run.py`."""
