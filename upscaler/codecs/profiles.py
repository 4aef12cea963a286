"""ICC profiles, as far as their headers tell (ICC.1:2022, 7.2)."""

from __future__ import annotations


def fits(profile: bytes | None, channels: int) -> bool:
    """Whether a profile describes pixels of so many channels: grey ones for 1 and 2, RGB ones for 3 and 4."""
    return profile is not None and profile[16:20] == (b"GRAY" if channels <= 2 else b"RGB ")
