"""DeepSpeed: the settings of its ZeRO stages, and the extensions that it compiles."""

import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path

STAGES = {"zero2": 2, "zero3": 3, "zero3_offload": 3}


def settings(kind: str) -> dict:
    """Return DeepSpeed's settings of a stage (a key of STAGES). Transformers fills in "auto" from the recipe."""
    stage: dict = {"stage": STAGES[kind], "stage3_gather_16bit_weights_on_model_save": True}
    result: dict = {
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": "auto"},
        "zero_optimization": stage,
    }
    if kind == "zero3_offload":
        stage |= {f"offload_{what}": {"device": "cpu"} for what in ("optimizer", "param")}
        # DeepSpeed's own AdamW: that of torch would update the CPU's share one tensor after the other
        result["optimizer"] = {"type": "AdamW", "params": dict.fromkeys(("lr", "betas", "eps", "weight_decay"), "auto")}
    return result


def build(kind: str, run: Callable[[list[str]], int]) -> None:
    """Compile the extensions of a stage into the cache (caches.set_cache_folders). One job compiles at a time, and the others find the result.

    Args:
        kind: a key of STAGES.
        run: runs a command and returns its exit code.
    Raises:
        RuntimeError: when the compiler fails.
    """
    folder = Path(os.environ["TORCH_EXTENSIONS_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "build.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        # a build that was killed leaves its lock, and every later one would wait for it without end
        for stale in folder.glob("*/lock"):
            stale.unlink()
        if exit_code := run([sys.executable, "-m", "teachergrid.training.zero", kind]):
            raise RuntimeError(
                f"DeepSpeed's extensions were not compiled (exit {exit_code}, see above); it needs g++ and ninja"
            )


if __name__ == "__main__":
    from deepspeed.accelerator import get_accelerator

    accelerator = get_accelerator()
    names = ["ShareMemCommBuilder"] if accelerator.device_name() == "cpu" else []
    for name in names + (["CPUAdamBuilder"] if sys.argv[1] == "zero3_offload" else []):
        accelerator.create_op_builder(name).load()
