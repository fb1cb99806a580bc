"""DeepSpeed: the settings of its ZeRO stages, and the extensions that it compiles."""

import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path

STAGES = {"zero2": 2, "zero3": 3, "zero3_offload": 3}


def settings(kind: str) -> dict:
    """Return DeepSpeed's settings; what the recipe decides is "auto", filled in by transformers."""
    shared = {"stage": STAGES[kind], "stage3_gather_16bit_weights_on_model_save": True}
    found = {
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": "auto"},
        "zero_optimization": shared,
    }
    if kind == "zero3_offload":
        shared |= {f"offload_{what}": {"device": "cpu"} for what in ("optimizer", "param")}
        # DeepSpeed's own, since torch's AdamW would walk over the CPU's share one tensor after the other
        found["optimizer"] = {"type": "AdamW", "params": dict.fromkeys(("lr", "betas", "eps", "weight_decay"), "auto")}
    return found


def build(kind: str, run: Callable[[list[str]], int]) -> None:
    """Compile what a stage needs where models.set_cache_folders() says: one job at a time, so that the others find it.

    run: runs a command and returns its exit code. A build that was killed leaves a file `lock`, for which every later one
    would wait without end. Raises RuntimeError when the compiler fails.
    """
    folder = Path(os.environ["TORCH_EXTENSIONS_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "build.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for stale in folder.glob("*/lock"):
            stale.unlink()
        if ended := run([sys.executable, "-m", "teachergrid.zero", kind]):
            raise RuntimeError(
                f"DeepSpeed's extensions were not compiled (exit {ended}, see above); it needs g++ and ninja"
            )


if __name__ == "__main__":
    from deepspeed.accelerator import get_accelerator

    accelerator = get_accelerator()
    names = ["ShareMemCommBuilder"] if accelerator.device_name() == "cpu" else []
    for name in names + (["CPUAdamBuilder"] if sys.argv[1] == "zero3_offload" else []):
        accelerator.create_op_builder(name).load()
