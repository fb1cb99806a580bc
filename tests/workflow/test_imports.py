"""What a process has imported after it imported our modules."""

import subprocess
import sys

from workspace import ENV, ROOT


def imported_by(*modules: str) -> set[str]:
    """Return the names of all modules in a process that has imported these."""
    code = f"import sys; import {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=ENV, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_no_module_imports_torch_until_a_model_is_loaded():
    package = ROOT / "workflow/scripts/teachergrid"
    paths = [path.relative_to(package.parent).with_suffix("") for path in package.glob("*/*.py")]
    # what a training, a process of vLLM, or the server of job.forks is made of
    heavy = {"sft", "worker", "checkpoints", "packing", "vllm_draw", "preload"}
    modules = [".".join(path.parts) for path in paths if path.name not in {"__init__", *heavy}]
    assert len(modules) > 120
    assert not imported_by(*modules) & {"torch", "transformers", "trl", "datasets"}


def test_the_check_of_the_config_knows_no_costs():
    rooms = {name.split(".")[1] for name in imported_by("teachergrid.grid.config") if name.startswith("teachergrid.")}
    assert not rooms & {"cost", "planning", "job", "training"}
