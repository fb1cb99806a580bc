"""python -IS stand_in.py SOCKET SCRIPT: what Snakemake calls in the place of `python SCRIPT` where job/preloaded.py serves.

For a script that loads a model it asks the server for a fork, waits, and ends as the fork ended. All other scripts are run as
usual, and these as well where nobody answers. It imports little, since each job waits for it.
"""

import json
import os
import signal
import socket
import struct
import sys
from contextlib import suppress

# entry scripts that load a model
SCRIPTS = ("generate.py", "answer.py", "reward.py", "likelihood.py", "judge.py", "loss.py", "finetune.py")


def main(name: str, script: str) -> None:
    """End as the job ended that ran a script, or become Python that runs it. name: of the server's socket."""
    # Snakemake's copy of answer.py is tmp1234.answer.py. With more threads the libraries would have to be imported anew
    if script.endswith(SCRIPTS) and os.environ.get("OMP_NUM_THREADS") == "1":
        status = status_of(name, script)
        if status is not None:
            end_as(status)
    os.execv(sys.executable, [sys.executable, script])


def status_of(name: str, script: str) -> int | None:
    """Return the status with which a job ended, as os.waitpid gives it; None where it never began."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback: the job writes one
    asked = {"script": script, "folder": os.getcwd(), "environment": dict(os.environ)}
    text = json.dumps(asked).encode()
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(f"\0{name}")
            _, user, _ = struct.unpack("3i", server.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if user != os.getuid():  # whoever answers learns the environment
                return None
            socket.send_fds(server, [struct.pack("Q", len(text))], [0, 1, 2])
            server.sendall(text)
            if not server.recv(1):
                return None
        except OSError:
            return None
        # it has begun, so it must not be run again
        status = server.recv(4, socket.MSG_WAITALL)
        return struct.unpack("i", status)[0] if len(status) == 4 else signal.SIGKILL


def end_as(status: int) -> None:
    """End this process with the exit code or the signal of a status."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        with suppress(OSError, ValueError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
