"""A real browser for tests: chromium without a window, driven through chromedriver (WebDriver, W3C)."""

from __future__ import annotations

import base64
import io
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import requests
from numpy.typing import NDArray

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver, which .ci/run installs"
)

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1000,1200",
)

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key of an element's number in WebDriver's answers."""

KEYS = {"right": "\ue014", "left": "\ue012", "home": "\ue011", "end": "\ue010", "tab": "\ue004"}


class Browser:
    """One window."""

    def __init__(self, session: str) -> None:
        self._session = session

    def call(self, path: str, **values: Any) -> Any:
        method = requests.post if values or path in ("element",) else requests.get
        answer = method(f"{self._session}/{path}", json=values or None, timeout=60).json()["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def open(self, file: Path) -> None:
        self.call("url", url=file.absolute().as_uri())

    def run(self, script: str) -> Any:
        """What a script returns."""
        return self.call("execute/sync", script=script, args=[])

    def press(self, selector: str, *keys: str) -> None:
        """Types keys, by the names of KEYS, or a text, into an element."""
        found = self.call("element", using="css selector", value=selector)[ELEMENT]
        self.call(f"element/{found}/value", text="".join(KEYS.get(key, key) for key in keys))

    def drag(self, first: tuple[int, int], last: tuple[int, int]) -> None:
        """Drags the mouse from one place of the window to another."""
        moves = [
            {"type": "pointerMove", "x": first[0], "y": first[1]},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "x": last[0], "y": last[1]},
            {"type": "pointerUp", "button": 0},
        ]
        self.call("actions", actions=[{"type": "pointer", "id": "mouse", "actions": moves}])

    def emulate(self, **values: Any) -> None:
        """Calls a method of Chromium's developer tools."""
        self.call("goog/cdp/execute", **values)

    def shot(self) -> NDArray[np.uint8]:
        """The window as it is seen: (height, width, 3)."""
        content = base64.b64decode(self.call("screenshot"))
        return np.asarray(PIL.Image.open(io.BytesIO(content)).convert("RGB"))


@contextmanager
def browse(folder: Path) -> Iterator[Browser]:
    """Starts a browser that keeps its things in `folder`, and ends it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    address, session = f"http://127.0.0.1:{port}", ""
    try:
        for _ in range(200):
            try:
                if requests.get(f"{address}/status", timeout=5).json()["value"]["ready"]:
                    break
            except requests.ConnectionError:
                time.sleep(0.1)
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={folder}"]}
        capabilities = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL"}}}
        answer = requests.post(f"{address}/session", json={"capabilities": capabilities}, timeout=60).json()["value"]
        session = f"{address}/session/{answer['sessionId']}"
        yield Browser(session)
    finally:
        if session:
            requests.delete(session, timeout=30)
        driver.terminate()
        driver.wait(30)
