"""Where programs keep the code that they compile for a machine."""

import hashlib
import os
import platform
import re
import sys
import sysconfig
from pathlib import Path

CACHES = ["TORCH_EXTENSIONS_DIR", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "VLLM_CACHE_ROOT"]


def set_cache_folders() -> None:
    """Set where vLLM, DeepSpeed, Triton and torch keep compiled code, unless the environment says so already.

    The folder is `${TEACHERGRID_CACHE:-~/.cache/teachergrid}/<environment>/<GPU model or cpu>--<CPU model>/`. It is
    particular to environment and machine because code that was compiled for another torch or another instruction set
    crashes, or is compiled again by every job.
    """
    packages = sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
    environment = hashlib.sha256("\n".join([sys.prefix, *packages]).encode()).hexdigest()[:12]
    root = Path(os.environ.get("TEACHERGRID_CACHE", "~/.cache/teachergrid")).expanduser() / environment / node_type()
    for variable in CACHES:
        os.environ.setdefault(variable, str(root / variable.lower()))


def node_type() -> str:
    """Return the names of this machine's GPU and CPU, read without starting CUDA."""
    gpus = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    lines = [*(gpus[0].read_text().splitlines() if gpus else ()), *Path("/proc/cpuinfo").read_text().splitlines()]
    fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    names = {key.strip(): re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-") for key, value in fields.items()}
    return f"{names.get('Model', 'cpu')}--{names.get('model name', platform.machine())}"
