"""Where compiled code is kept."""

import os
import sys
from pathlib import Path

from teachergrid.models import caches


def test_caches_are_of_one_environment_and_kind_of_node(tmp_path, monkeypatch):
    for name in caches.CACHES[1:]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEACHERGRID_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", "/mine")
    caches.set_cache_folders()
    found = {Path(os.environ[name]) for name in caches.CACHES[1:]}
    assert len(found) == len(caches.CACHES) - 1 and os.environ["TORCH_EXTENSIONS_DIR"] == "/mine"
    (folder,) = {path.parent for path in found}
    assert folder.parents[1] == tmp_path and folder.name == caches.node_type() and "--" in folder.name
    monkeypatch.setattr(sys, "prefix", "/another")
    monkeypatch.delenv("TRITON_CACHE_DIR")
    caches.set_cache_folders()
    assert Path(os.environ["TRITON_CACHE_DIR"]).parents[1] != folder.parent
    for name in caches.CACHES:
        monkeypatch.delenv(name)
