"""Which checkpoints a training goes on from."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from teachergrid.training import checkpoints


@pytest.mark.parametrize(
    "mark, kept, removed",
    [
        ("", "checkpoint-4", {"checkpoint-5", "checkpoint-6"}),
        ("zero3 on 4 processes", "checkpoint-5", {"checkpoint-4", "checkpoint-6"}),
        ("zero3 on 8 processes", None, {"checkpoint-4", "checkpoint-5", "checkpoint-6"}),
    ],
)
def test_a_checkpoint_serves_only_those_who_can_read_it(tmp_path, capsys, mark, kept, removed):
    for step, text in ((4, ""), (5, checkpoints.readers(4, Path("work/zero3.json"))), (6, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if text is not None:
            (tmp_path / f"checkpoint-{step}" / checkpoints.COMPLETE).write_text(text)
    found = checkpoints.last_checkpoint(tmp_path, mark)
    assert (found and found.name) == kept
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == removed
    assert {path.name for path in tmp_path.iterdir()} == {kept} - {None}


def test_a_signal_asks_for_a_checkpoint(tmp_path, monkeypatch):
    """SLURM sends it some minutes before the time limit."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 600)
    before = signal.getsignal(signal.SIGUSR1)
    callback = checkpoints.Checkpoints(SimpleNamespace(order=None), 0, "")
    args, control = SimpleNamespace(world_size=1, output_dir=tmp_path), SimpleNamespace(should_save=None)
    state = SimpleNamespace(global_step=3, is_world_process_zero=True)
    try:
        callback.on_step_end(args, state, control)
        assert control.should_save is False
        os.kill(os.getpid(), signal.SIGUSR1)
        callback.on_step_end(args, state, control)
        assert control.should_save is True
        (tmp_path / "checkpoint-3").mkdir()
        callback.on_save(args, state, control)
        callback.on_step_end(args, state, control)
        assert control.should_save is False and checkpoints.last_checkpoint(tmp_path, "").name == "checkpoint-3"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_what_is_loaded_again_keeps_its_number_format(monkeypatch):
    """PEFT makes an adapter float32 as it loads it, and the steps after a kill would be others than without it."""
    import torch
    from trl import SFTTrainer

    def load(trainer, folder, model=None):
        trainer.model.float()

    monkeypatch.setattr(SFTTrainer, "_load_from_checkpoint", load)
    trainer = checkpoints.Trainer.__new__(checkpoints.Trainer)
    trainer.model = torch.nn.Sequential(torch.nn.Linear(2, 2).to(torch.bfloat16), torch.nn.Linear(2, 2))
    trainer._load_from_checkpoint("checkpoint-1")
    assert [weight.dtype for weight in trainer.model.parameters()] == [torch.bfloat16] * 2 + [torch.float32] * 2
