"""Ctrl-C, termination, a closed terminal: the program unwinds once, so that nothing half-done is left.

What is said then, and the exit code, is `app`'s.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")

PATIENCE = 1.0
"""Seconds in which further signals are not heeded: shells send several, and unwinding must not be cut short."""

RETRY = 0.002
"""Seconds after which a lost interruption comes again."""


class Interrupted(BaseException):
    """Raised wherever the program is when one of the signals arrives. Nobody but `app` catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def install() -> None:
    """From here on the signals raise Interrupted; those that are ignored, as in the background, stay so."""
    handler = _Handler()
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler.stop)
    sys.unraisablehook = handler.again


def ignore() -> None:
    """From here on the signals do nothing: all that is left is to exit, which takes a while with torch loaded."""
    for name in SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


class _Handler:
    """When it was last interrupted."""

    def __init__(self) -> None:
        self._last = -math.inf

    def stop(self, number: int, _: object) -> None:
        now = time.monotonic()
        if now - self._last > PATIENCE:
            self._last = now
            raise Interrupted(number)

    def again(self, lost: sys.UnraisableHookArgs) -> None:
        """An interruption that fell into a callback of a C library, which cannot pass it on, comes again."""
        if not isinstance(lost.exc_value, Interrupted):
            sys.__unraisablehook__(lost)
            return
        self._last = -math.inf
        timer = threading.Timer(RETRY, _send, (lost.exc_value.number,))
        timer.daemon = True
        timer.start()


def _send(number: int) -> None:
    """To the main thread, which may be waiting for something."""
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)
