"""The Python in Snakemake's shell commands."""

import re
import subprocess
import sys

import pytest
from teachergrid.errors import BadInput
from teachergrid.job import interpreter


@pytest.mark.parametrize("folder", ["plain", "my project", "it's", "a$HOME", "a;b&c", "é#`x`"])
def test_a_path_is_one_word_for_a_shell(tmp_path, monkeypatch, folder):
    path = tmp_path / folder / "python"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\necho it is $1\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    interpreter.quote()
    interpreter.quote()
    assert subprocess.check_output(f"{sys.executable} here", shell=True, text=True) == "it is here\n"
    assert folder != "plain" or sys.executable == str(path)


@pytest.mark.parametrize("name", ["a{b}", "a\nb"])
def test_a_folder_in_which_no_job_starts_is_refused(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with pytest.raises(BadInput, match=re.escape("a brace or a line break in its path")):
        interpreter.quote()
