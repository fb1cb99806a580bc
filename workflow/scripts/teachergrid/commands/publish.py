"""teachergrid publish: a student with its model card, as a folder and, where it is asked for, on the hub."""

import json
import os
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from ..cost import weight_files
from ..decisions import card
from ..errors import BadInput
from ..hub import upload
from ..store.results import RESULTS
from ..units import size

CARD = "README.md"
ADAPTER = "adapter_config.json"


def main(own: Namespace) -> int:
    """Print card and files; with --to write them, with --push send them. Return the exit code.

    Raises BadInput where there is no such student, its weights are gone, or what it was made from has no stated terms (--push).
    """
    if own.to and own.push:
        raise BadInput("--to, --push: one at a time; `--to` writes a folder, `--push` sends the same files")
    if own.public and not own.push:
        raise BadInput("--public: is about a repository; name it with --push")
    found = card.lineage(Path(RESULTS), own.student)
    files = chosen(found.student)
    text = card.card(found, only_adapter=ADAPTER in files)
    if own.push and not own.dry_run:
        return send(found, files, text, own)
    if own.to and not own.dry_run:
        write(Path(own.to), found, files, text)
        print(f"{own.to}: {listed(files, text)}")
        return 0
    print(text)
    print(*(f"{size(path.stat().st_size):>9}  {name}" for name, path in files.items()), sep="\n")
    would = f"--push {own.push} would send them" if own.push else f"--to {own.to or 'FOLDER'} writes them"
    print(f"\n{listed(files, text)}; {would}")
    return 0


def chosen(student: str) -> dict[str, Path]:
    """Return {name: file} of what is published of a student: its whole model, or where that was freed, its adapter.

    Raises BadInput where its weights were freed, or are not those that student.json describes.
    """
    path = f"{RESULTS}/students/{student}/student.json"
    if (weights := weight_files.folder(path)) is None:
        raise BadInput(
            f"{student}: its weights were freed (`keep` in the recipe); train it again: {weight_files.training_command([student])}"
        )
    whole = any(weights.glob(weight_files.MODEL))
    files = {file.name: file for file in sorted(weights.iterdir()) if file.is_file()}
    if not whole:
        # the hub's libraries look for an adapter beside the card; the config of the whole model would name weights that are not there
        files = {
            name: file
            for name, file in files.items()
            if name.startswith(("tokenizer", "chat_template", "special_tokens"))
        }
        files |= {file.name: file for file in sorted((weights / "adapter").iterdir()) if file.name != CARD}
    return files


def write(
    folder: Path,
    found: card.Lineage,
    files: dict[str, Path],
    text: str,
    put: Callable[[Path, Path], object] = shutil.copyfile,
) -> None:
    """Write a student into a new folder, its large files by `put`. Raises BadInput where there is something already."""
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise BadInput(f"{folder}: is there already; name a new folder with --to")
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in files.items():
        if name == ADAPTER:
            (folder / name).write_text(json.dumps(named(json.loads(path.read_text()), found), indent=1) + "\n")
        else:
            put(path.absolute(), folder / name)
    (folder / CARD).write_text(text)


def named(adapter: dict, found: card.Lineage) -> dict:
    """Return the settings of an adapter with the name of its base in place of a path of this machine."""
    return {**adapter, "base_model_name_or_path": found.base.place}


def send(found: card.Lineage, files: dict[str, Path], text: str, own: Namespace) -> int:
    """Upload a student. Return 2 without a network."""
    if lacking := found.unstated():
        raise BadInput(
            f"{found.student}: not sent, since no config states the {', the '.join(lacking)}; state `licence` and `output_terms` of its "
            "models, and run again: the report is then made anew"
        )
    secret = upload.token(own.token)
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "0" if sys.stderr.isatty() else "1"
    with tempfile.TemporaryDirectory(dir=RESULTS) as place:
        # by links, so that a kill leaves no second copy of the weights
        write(Path(place, "student"), found, files, text, os.symlink)
        try:
            print(upload.push(Path(place, "student"), own.push, secret, private=not own.public))
        except ConnectionError as error:
            print(f"not sent: {error}", file=sys.stderr)
            return 2
    return 0


def listed(files: dict[str, Path], text: str) -> str:
    total = sum(path.stat().st_size for path in files.values()) + len(text.encode())
    return f"{len(files) + 1} files, {size(total)}"
