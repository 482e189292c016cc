"""Takes out of the image's packages what the service cannot use there.

    python deploy/docker/prune.py SITE_PACKAGES

The one list of what goes. The Dockerfile, ``bench/runtime.py`` and ``tests/e2e/test_image.py`` run
it, so that what is measured and tested is what the image has. Needs nothing but Python.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

GOES = {
    "openvino/libs/libopenvino_intel_gpu_plugin.so": "the image has no driver of a GPU",
    "openvino/libs/cache.json": "the GPU's kernels, as they were tuned",
    "openvino/libs/libopenvino_intel_npu_*": "the image has no driver of an NPU",
    "openvino/libs/libopenvino_tensorflow*_frontend.so*": "the models are ONNX files",
    "openvino/libs/libopenvino_pytorch_frontend.so*": "the models are ONNX files",
    "openvino/libs/libopenvino_paddle_frontend.so*": "the models are ONNX files",
    "openvino/libs/libopenvino_gguf_frontend.so*": "the models are ONNX files",
    "openvino/include": "for compilers",
    "rapidocr/models/*_det_*": "only its recogniser is asked",
    "rapidocr/models/*_cls_*": "only its recogniser is asked",
    # Of SciPy the service has optimize.linear_sum_assignment and optimize.minimize, which need
    # constants, fft, linalg, sparse, spatial and special.
    **{
        f"scipy/{name}": "scipy.optimize does without"
        for name in (
            "cluster", "differentiate", "fftpack", "integrate", "interpolate", "io",
            "ndimage", "odr", "signal", "stats",
        )
    },
    "numpy/**/tests": "NumPy's own tests",
    "scipy/**/tests": "SciPy's own tests",
}  # fmt: skip
"""What goes, as globs in the folder of the packages, and why."""

AWS = {"s3", "sqs", "iam", "sts", "sso", "sso-oidc", "signin"}
"""Services of AWS that stay: what the code asks, and where boto3 gets credentials from."""


def gone(packages: Path) -> dict[str, list[Path]]:
    """The files and folders that go, by the line of the list that names them."""
    found = {glob: sorted(packages.glob(glob)) for glob in GOES}
    found["botocore/data"] = sorted(_other_services(packages / "botocore" / "data"))
    return found


def _other_services(data: Path) -> Iterator[Path]:
    return (folder for folder in data.iterdir() if folder.is_dir() and folder.name not in AWS)


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def prune(packages: Path) -> dict[str, int]:
    """Deletes them. Returns how many bytes each line of the list was worth."""
    worth = {}
    for glob, paths in gone(packages).items():
        there = [path for path in paths if path.exists()]
        worth[glob] = sum(map(size, there))
        for path in there:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return worth


def main() -> None:
    worth = prune(Path(sys.argv[1]))
    for glob, size_ in sorted(worth.items(), key=lambda line: -line[1]):
        sys.stdout.write(f"{size_ / 1e6:7.1f} MB  {glob}\n")
    sys.stdout.write(f"{sum(worth.values()) / 1e6:7.1f} MB  less\n")


if __name__ == "__main__":
    main()
