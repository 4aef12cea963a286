"""Whether tests can compute on a Vulkan device; Debian's mesa-vulkan-drivers make one of the processor."""

import pytest

from upscaler.vulkan import vulkan_devices

needs_vulkan = pytest.mark.skipif(
    not vulkan_devices(), reason="needs a Vulkan driver, such as Debian's mesa-vulkan-drivers"
)
