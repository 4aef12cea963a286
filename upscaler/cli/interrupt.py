"""Ctrl-C, termination, a closed terminal: the program unwinds once, so that nothing half-done is left.

`app` reports the interruption and sets the exit code.
"""

from __future__ import annotations

import _thread
import math
import signal
import sys
import threading
import time
from types import FrameType

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

REPEAT_WINDOW = 1.0
"""Seconds in which further signals are ignored: shells send several, and unwinding must not be cut short."""

RETRY = 0.002
"""Seconds before an unhandled signal is sent again."""

LOCKING = {"concurrent", "contextlib", "logging", "multiprocessing", "queue", "threading", "tqdm"}
"""Packages that take locks in several steps and must not be interrupted between two of them: `with condition:` would
leave the lock taken, and the program would wait for it for ever as it unwinds."""

STILL = 0.25
"""Seconds at the same place after which such a package is not taking a lock but waits for something to happen."""


class Interrupted(BaseException):
    """Raised wherever the program is when one of the signals arrives. Only `app` catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def install() -> None:
    """Makes the signals raise Interrupted; those that are ignored, as in the background, stay ignored."""
    handler = _Handler()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler.stop)
    sys.unraisablehook = handler.again


def ignore() -> None:
    """Makes the signals do nothing: all that is left is to exit, which takes a while with torch loaded."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Handler:
    """A handler of signals: raises Interrupted, or retries shortly when the current code must not be interrupted."""

    def __init__(self) -> None:
        self._last = -math.inf
        self._retrying = False
        self._place: tuple[int, int] | None = None
        self._since = -math.inf

    def stop(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._last <= REPEAT_WINDOW:
            return
        if self._is_locking(frame, now):
            self._retry(number)
            return
        self._last = now
        self._retrying = False
        raise Interrupted(number)

    def again(self, lost: sys.UnraisableHookArgs) -> None:
        """Repeats an interruption that a callback of a C library swallowed, since it cannot pass it on."""
        if not isinstance(lost.exc_value, Interrupted):
            sys.__unraisablehook__(lost)
            return
        self._last = -math.inf
        self._retry(lost.exc_value.number)

    def _is_locking(self, frame: FrameType | None, now: float) -> bool:
        if frame is None or str(frame.f_globals.get("__name__")).partition(".")[0] not in LOCKING:
            return False
        place = id(frame), frame.f_lasti
        if place != self._place:
            self._place, self._since = place, now
        return now - self._since < STILL

    def _retry(self, number: int) -> None:
        """Repeats the signal until it is handled: one that arrives as the main thread begins to wait is not noticed.

        A `threading.Thread` would take locks that the interrupted code may hold.
        """
        if not self._retrying:
            self._retrying = True
            _thread.start_new_thread(self._send, (number,))

    def _send(self, number: int) -> None:
        """Sends the signal to the main thread, which may be waiting for something."""
        time.sleep(RETRY)
        while self._retrying:
            if sys.platform == "win32":
                signal.raise_signal(number)
            else:
                signal.pthread_kill(threading.main_thread().ident or 0, number)
            time.sleep(RETRY)
