"""The demo, cut down: one base of the mini world, two teachers, 48 instructions, 40 problems."""

import shutil
from pathlib import Path

from workspace import ROOT, Grid, copy_code

TEACHERS = ["concise-s", "steps-s"]


def small_demo(folder: Path, seed: int = 1) -> Grid:
    """Copy the workflow and the mini world with a config that is the demo's, cut down."""
    folder.mkdir(parents=True)
    copy_code(folder, stand_in=False)
    shutil.rmtree(folder / "config")
    shutil.copytree(ROOT / "config", folder / "config")
    world = ROOT / "workflow/miniworld"
    (folder / "workflow/miniworld/data").mkdir(parents=True)
    (folder / "workflow/miniworld/models").symlink_to(world / "models")
    shutil.copy2(world / "data/pool.jsonl", folder / "workflow/miniworld/data")
    problems = (world / "data/test.jsonl").read_text().splitlines(keepends=True)
    (folder / "workflow/miniworld/data/test.jsonl").write_text("".join(problems[:40]))
    grid = Grid(folder)

    def cut(config):
        config["seed"] = seed
        config["instructions"]["pool"]["sample"] = 48
        config["teachers"] = {name: {**config["teachers"][name], "shard": 8, "batch": 8} for name in TEACHERS}
        config["bases"] = {"bs": config["bases"]["bs"]}
        config["references"] = {name: config["references"][name] for name in ("bs-untuned", "bs-instruct")}
        config["metrics"] = {
            name: config["metrics"][name] for name in ("reward-verifier", "car", "ifd", "length", "size")
        }
        config["recipes"]["sft"]["num_train_epochs"] = 3
        config["grids"]["teachers"] |= {"seeds": [1], "bootstrap": 200}

    grid.edit(cut)
    return grid
