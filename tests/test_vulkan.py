"""Vulkan devices by name, and how ncnn is loaded."""

import os
import subprocess
import sys

import pytest

from tests.vulkan import needs_vulkan
from upscaler import vulkan
from upscaler.errors import PlanError
from upscaler.vulkan import VulkanDevice, find_gpu, is_vulkan, pick_vulkan

SOFTWARE = VulkanDevice(0, "llvmpipe", True, 2**30)
GPU = VulkanDevice(1, "Radeon", False, 2**33)


def have(monkeypatch: pytest.MonkeyPatch, *devices: VulkanDevice) -> None:
    monkeypatch.setattr(vulkan, "vulkan_devices", lambda: devices)


def test_a_software_renderer_is_taken_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, SOFTWARE)
    assert find_gpu() is None
    assert pick_vulkan("vulkan") == pick_vulkan("vulkan:0") == SOFTWARE
    have(monkeypatch, SOFTWARE, GPU)
    assert find_gpu() == pick_vulkan("vulkan") == pick_vulkan("vulkan:1") == GPU


@pytest.mark.parametrize(
    ("devices", "has"), [((), "It has none with a Vulkan driver"), ((SOFTWARE, GPU), "It has vulkan:0, vulkan:1")]
)
def test_a_device_that_is_not_here_is_refused_with_those_that_are(
    devices: tuple[VulkanDevice, ...], has: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(monkeypatch, *devices)
    with pytest.raises(PlanError, match=rf"^device=vulkan:7: this machine has no such device\. {has}\."):
        pick_vulkan("vulkan:7")


def test_names_of_vulkan_devices_are_known_without_looking() -> None:
    assert all(map(is_vulkan, ("vulkan", "vulkan:3")))
    assert not any(map(is_vulkan, (None, "cpu", "cuda:0", "auto")))


def test_ncnn_is_loaded_so_that_its_threads_sleep_and_torch_s_are_left_alone() -> None:
    code = """
import os, sys
from upscaler.vulkan import load_ncnn
seen = []
class Watch:
    def find_spec(self, name, *_):
        seen.append((name, os.environ.get("OMP_WAIT_POLICY")))
sys.meta_path.insert(0, Watch())
load_ncnn()
print(dict(seen)["ncnn"], os.environ.get("OMP_WAIT_POLICY"))
"""
    clean = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    for environment, said in ((clean, "passive None"), ({**clean, "OMP_WAIT_POLICY": "active"}, "active active")):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        assert done.stdout.strip() == said


@needs_vulkan
def test_looking_for_devices_writes_nothing() -> None:
    code = "from upscaler.vulkan import vulkan_devices; print(vulkan_devices()[0].memory > 2**20)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("True\n", "")
