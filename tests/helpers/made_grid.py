"""The small grid, run once with a stand-in for the work of every job: python -m made_grid FOLDER."""

import shutil
import sys
from pathlib import Path

from filelock import FileLock
from workspace import Grid, copy_code


def make(shared: Path) -> Path:
    """Return the folder of the grid; whoever comes first makes it, and others wait. shared: the folder to make it in."""
    folder = shared / "made"
    with FileLock(shared / "made.lock"):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            copy_code(folder)
            Grid(folder).run()
            (folder / "done").touch()
    return folder


if __name__ == "__main__":
    make(Path(sys.argv[1]))
