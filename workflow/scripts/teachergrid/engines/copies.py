"""Copies of a model side by side: each on GPUs of its own, in a process of its own, with work given out by need.

python -m teachergrid.engines.copies CONNECTION ALIVE

A copy gets a portion of requests whenever it has room, and never a fixed share: copies whose responses are short take more. So all
end at nearly the same time, however uneven the responses are. One copy alone runs in the job's own process.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from multiprocessing.connection import Connection, Pipe, wait
from threading import Thread
from typing import Any, Protocol

from ..errors import BadInput
from .vllm_copy import Asked, Copy, Done

PORTION = 64  # requests that are given out at once, at most


class Loaded(Protocol):
    """A model that is loaded, once or several times."""

    def stream(self, asked: Sequence[Asked], stops: list[int]) -> Iterator[Done]:
        """Yield the response to each request as it is done."""


def opened(options: dict[str, Any], devices: list[list[str]]) -> Loaded:
    """Load a copy of a model on each of these groups of devices. options: of vLLM's engine. Raises BadInput as vllm_copy.Copy does."""
    if len(devices) == 1:
        return Copy(options, devices[0])
    return Copies(options, devices)


class Copies:
    """Processes with a copy of a model each."""

    def __init__(self, options: dict[str, Any], devices: list[list[str]]) -> None:
        """Start them all at once, and wait until all have loaded it."""
        self._processes = [Process(number, gpus) for number, gpus in enumerate(devices)]
        for process in self._processes:
            process.send((options, process.gpus))
        for process in self._processes:
            process.receive()

    def stream(self, asked: Sequence[Asked], stops: list[int]) -> Iterator[Done]:
        """Yield the response to each request as it is done."""
        todo, left = iter(asked), len(asked)
        held = dict.fromkeys(self._processes, 0)
        working = {process.connection: process for process in self._processes}
        for process in self._processes:
            process.send(stops)
        while working:
            for connection in wait(list(working)):
                process = working[connection]  # type: ignore[index]
                answer = process.receive()
                if answer is None:
                    del working[process.connection]
                elif isinstance(answer, int):
                    # it asks for so many at most; none holds more than its part of what is not done, for as long as others ask
                    part = -(-(left + sum(held.values())) // len(self._processes))
                    given = list(islice(todo, max(0, min(answer, PORTION, part - held[process]))))
                    left, held[process] = left - len(given), held[process] + len(given)
                    process.send((given, left > 0))
                else:
                    held[process] -= len(answer)
                    yield from answer


class Process:
    """A process with a copy of a model."""

    def __init__(self, number: int, gpus: list[str]) -> None:
        self.number, self.gpus = number, gpus
        self.connection, theirs = Pipe()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        if any(gpus):
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        # nothing is ever written to the pipe: its other end is closed when this process ends, even by kill -9
        alive, self._alive = os.pipe()
        command = [sys.executable, "-m", __name__, str(theirs.fileno()), str(alive)]
        for descriptor in (theirs.fileno(), alive):
            os.set_inheritable(descriptor, True)
        # open descriptors keep the locks of its devices as long as it lives (job.devices)
        self.process = subprocess.Popen(command, env=environment, close_fds=False)
        theirs.close()
        os.close(alive)

    def send(self, content: object) -> None:
        """Send something. Raises RuntimeError where the process has ended."""
        try:
            self.connection.send_bytes(pickle.dumps(content))
        except OSError as error:
            raise self._ended() from error

    def receive(self) -> Any:
        """Return what it sends. Raises what it has raised, and RuntimeError where it has ended."""
        try:
            content = pickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if isinstance(content, Exception):
            raise content
        return content

    def _ended(self) -> RuntimeError:
        code = self.process.wait()
        return RuntimeError(
            f"copy {self.number + 1} of the model has ended with exit code {code}; why is further up in its log"
        )


def work(connection: Connection) -> None:
    """Be a copy: load the model, then answer whatever is asked, until the job closes the connection."""

    def receive() -> Any:
        return pickle.loads(connection.recv_bytes())

    def send(content: object) -> None:
        connection.send_bytes(pickle.dumps(content))

    def more(room: int) -> tuple[list[Asked], bool]:
        send(room)
        return receive()

    options, gpus = receive()
    copy = Copy(options, gpus)
    send("ready")
    while True:
        stops = receive()
        for done in copy.work(more, stops):
            send(done)
        send(None)


def main(descriptor: int, alive: int) -> None:
    """Run a copy in this process. descriptor: of the connection to the job. alive: of a pipe that is open while the job lives."""
    Thread(target=_end_with, args=[alive], daemon=True).start()
    connection = Connection(descriptor)
    try:
        work(connection)
    except EOFError:
        sys.exit(0)
    except BadInput as error:
        connection.send_bytes(pickle.dumps(error))
        sys.exit(1)


def _end_with(alive: int) -> None:
    """End this process, whatever it does, when the other end of a pipe is closed."""
    os.read(alive, 1)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
