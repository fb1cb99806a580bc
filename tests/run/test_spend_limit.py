"""A run that has a budget of GPU-hours or a deadline."""

import threading
from types import SimpleNamespace

from teachergrid.run import spend_limit


def test_a_run_stops_when_its_hours_are_used_up():
    stopped, said = threading.Event(), []
    run = SimpleNamespace(running={1: 0.0, 2: 0.0}, jobs={1: {"gpus": 4}, 2: {"gpus": 0}})
    live = spend_limit.Bound(0.001, None, None, stopped.set, said.append)
    live.progress = run
    live.look()
    assert live.broken is None and live.gpus == 4
    live.looked -= 1  # a second with four GPUs: 0.0011 hours
    live.look()
    assert "0.00111 GPU-hours are used, 0.001 were allowed" in live.broken
    late = spend_limit.Bound(None, -1.0, None, stopped.set, said.append)
    late.watch(every_s=0.01)
    assert stopped.is_set() and said == ["over budget: the deadline has passed"]
