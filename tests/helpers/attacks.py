"""Attacks on the sandbox, each with the proof that it does harm without it.

A program, run as any user with `python attacks.py free|LEVEL`: it prints {name: what came of it} as JSON. It needs the package's room
`tasks` and the standard library. An attack that has done its harm comes to its end, or does what its kind says.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from teachergrid.tasks import bubblewrap
from teachergrid.tasks.sandbox import Limits, Program, Sandbox

# for attacks that run until they are ended, and for the others, which end by themselves also where the machine is slow
LIMITS = [Limits(seconds, megabytes=512, output=4096) for seconds in (1, 10)]
# without the guard: it comes to its end, it still runs after a second, it dies by a signal, it fools a checker
ENDS, RUNS, DIES, FOOLS = "ends", "runs", "dies", "fools"
NOT_PASSED = ("error", "failed")


class Attack(NamedTuple):
    """program: may use the names that `targets` gives. free: what it does without a guard. kinds: of its outcome under it. only: what
    this machine has to allow for the attack to work at all. leaves: a file that it makes in the folder after its end."""

    program: str
    free: str = ENDS
    kinds: tuple[str, ...] = NOT_PASSED
    only: str | None = None
    leaves: str | None = None


NAMESPACES, IO_URING = "user namespaces", "io_uring"
# a checker of the simple kind: it believes what the process prints, or how it exits
NAIVE = """
import json, sys
def check():
    word = WORD
    try:
        exec(compile(ATTACK, "program", "exec"), {"__name__": "program"})
        print(json.dumps("passed"))
    except AssertionError:
        print(json.dumps("failed"))
check()
"""
C = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"

ATTACKS = {
    # --- time
    "endless loop": Attack("while True: pass", RUNS, ("timeout",)),
    "sleep": Attack("import time\ntime.sleep(100)", RUNS, ("timeout",)),
    "loop that ignores signals": Attack(
        "import signal\nfor number in range(1, 65):\n    try:\n        signal.signal(number, lambda *_: None)\n"
        "    except (OSError, ValueError):\n        pass\nwhile True: pass",
        RUNS,
        ("timeout",),
    ),
    "loop in C": Attack("sum(range(10**13))", RUNS, ("timeout",)),
    "loop in an exception's text": Attack(
        "class Trap(Exception):\n    def __str__(self):\n        while True: pass\nraise Trap", RUNS, ("timeout",)
    ),
    "waiting for a pipe": Attack("import os\nos.read(os.pipe()[0], 1)", RUNS, ("timeout",)),
    # --- memory
    "memory bomb": Attack("x = b'x' * (600 << 20)", kinds=("memory",)),
    "memory in small pieces": Attack("x = [b'x' * (1 << 20) for _ in range(600)]", kinds=("memory",)),
    "mapped memory": Attack("import mmap\nmmap.mmap(-1, 600 << 20)[0]"),
    "memory as a file": Attack("import os\nassert os.write(os.memfd_create('x'), bytes(32 << 20)) == 32 << 20"),
    "shared memory of System V": Attack(
        f"{C}key = libc.shmget(0, 32 << 20, 0o600)\nassert key >= 0\nlibc.shmctl(key, 0, None)"
    ),
    "recursion in C": Attack(
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return max([n], key=f)\nf(0)",
        DIES,
        ("error", "timeout", "memory"),
    ),
    "null pointer": Attack("import ctypes\nctypes.string_at(0)", DIES),
    # --- processes
    "fork bomb": Attack(
        "import os, time\nfor _ in range(50):\n    if os.fork() == 0:\n        time.sleep(3)\n        os._exit(0)"
    ),
    "thread bomb": Attack(
        "import threading, time\nfor _ in range(50): threading.Thread(target=time.sleep, args=(1,), daemon=True).start()"
    ),
    "subprocess": Attack("import subprocess\nsubprocess.run(['/bin/true'], check=True)"),
    "posix_spawn": Attack("import os\nos.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)"),
    "another program in its place": Attack("import os\nos.execv('/bin/true', ['true'])"),
    "daemon that writes late": Attack(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(0.5)\n    open(FOLDER + '/late', 'w').close()\n"
        "    os._exit(0)",
        leaves="late",
    ),
    # --- other processes
    "kill": Attack("import os, signal\nos.kill(BYSTANDER, signal.SIGKILL)"),
    "kill by group": Attack("import os, signal\nos.killpg(BYSTANDER, signal.SIGKILL)"),
    "signal to its parent": Attack("import os\nassert os.getppid() and not os.kill(PARENT, 0)"),
    "signal by a descriptor": Attack(
        "import fcntl, os, signal, time\nend, start = os.pipe()\nfcntl.fcntl(end, fcntl.F_SETOWN, BYSTANDER)\n"
        "fcntl.fcntl(end, 10, signal.SIGKILL)\nfcntl.fcntl(end, fcntl.F_SETFL, os.O_ASYNC)\nos.write(start, b'x')\n"
        "time.sleep(0.2)\nassert open(f'/proc/{BYSTANDER}/stat').read().split()[2] in 'ZX'"
    ),
    "ptrace": Attack(f"{C}assert libc.ptrace(0x4206, BYSTANDER, 0, 0) == 0"),
    "memory of another process": Attack(
        f"{C}import struct\nhere = ctypes.create_string_buffer(8)\n"
        "pair = lambda address: ctypes.create_string_buffer(struct.pack('<QQ', address, 1))\n"
        "start = int(open(f'/proc/{BYSTANDER}/maps').read().split('-')[0], 16)\n"
        "assert libc.process_vm_readv(BYSTANDER, pair(ctypes.addressof(here)), ctypes.c_ulong(1), pair(start), ctypes.c_ulong(1), "
        "ctypes.c_ulong(0)) == 1"
    ),
    "limits of another process": Attack("import resource\nresource.prlimit(BYSTANDER, resource.RLIMIT_CORE, (0, 0))"),
    # --- secrets
    "its environment": Attack("import os\nassert os.environ['HF_TOKEN']"),
    "its environment by /proc": Attack("assert b'HF_TOKEN' in open('/proc/self/environ', 'rb').read()"),
    "the environment of another": Attack("assert b'HF_TOKEN' in open(f'/proc/{BYSTANDER}/environ', 'rb').read()"),
    "the environment of all": Attack(
        "import os\nfound = 0\nfor process in filter(str.isdigit, os.listdir('/proc')):\n    try:\n"
        "        found += b'HF_TOKEN' in open(f'/proc/{process}/environ', 'rb').read()\n    except OSError:\n        pass\nassert found"
    ),
    "a file of the user": Attack("assert open(FOLDER + '/secret').read() == 'token'"),
    "the home folder": Attack("import os\nassert 'secret' in os.listdir(FOLDER)"),
    "the users of the machine": Attack("assert open('/etc/passwd').read()"),
    "a file of the workflow": Attack("assert open(WORKFLOW).read()"),
    "by the root of a process": Attack("assert open('/proc/self/root' + FOLDER + '/secret').read()"),
    "up from a folder that is open": Attack(
        "import os\nlast = os.open('/', os.O_PATH)\nfor descriptor in range(3, last + 1):\n    try:\n"
        "        print(os.read(os.open('../' * 30 + FOLDER[1:] + '/secret', os.O_RDONLY, dir_fd=descriptor), 9))\n        break\n"
        "    except OSError:\n        pass\nelse:\n    assert False"
    ),
    # --- files
    "writes a file": Attack("open(FOLDER + '/new', 'w').write('x')"),
    "appends to a file": Attack("open(FOLDER + '/open', 'a').write('x')"),
    "empties a file": Attack("import os\nos.truncate(FOLDER + '/open', 0)"),
    "removes a file": Attack("import os\nos.unlink(FOLDER + '/old')"),
    "renames a file": Attack("import os\nos.rename(FOLDER + '/open', FOLDER + '/closed')"),
    "changes rights": Attack("import os\nos.chmod(FOLDER + '/secret', 0o666)"),
    "changes times": Attack("import os\nos.utime(FOLDER + '/secret', (1, 1))"),
    "symbolic link": Attack(
        "import os\nos.symlink(FOLDER + '/secret', FOLDER + '/link')\nassert open(FOLDER + '/link').read()"
    ),
    "hard link": Attack("import os\nos.link(FOLDER + '/secret', FOLDER + '/hard')"),
    "named pipe": Attack("import os\nos.mkfifo(FOLDER + '/pipe')"),
    "disk bomb": Attack("open(FOLDER + '/large', 'wb').write(bytes(20 << 20))"),
    "disk bomb in shared memory": Attack(
        "import os\nname = f'/dev/shm/attack{os.getpid()}'\nopen(name, 'wb').write(bytes(20 << 20))\nos.unlink(name)"
    ),
    "inode bomb": Attack("for number in range(1000): open(f'{FOLDER}/{number}', 'w').close()"),
    "many open files": Attack("import os\nfiles = [os.open('/dev/null', os.O_RDONLY) for _ in range(500)]"),
    # --- network
    "connection": Attack("import socket\nsocket.create_connection(('127.0.0.1', PORT), timeout=3)"),
    "datagram": Attack(
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))"
    ),
    "name server": Attack("import socket\nsocket.getaddrinfo('localhost', 80)"),
    "abstract socket": Attack("import socket\nsocket.socket(socket.AF_UNIX).connect('\\0' + ABSTRACT)"),
    "listens": Attack("import socket\nplace = socket.socket()\nplace.bind(('127.0.0.1', 0))\nplace.listen()"),
    "sockets of the kernel": Attack("import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)"),
    "pair of sockets": Attack("import socket\nsocket.socketpair()"),
    # --- the kernel
    "user namespace": Attack(f"{C}assert libc.unshare(0x10000000) == 0", only=NAMESPACES),
    "mount": Attack(
        f"{C}assert libc.unshare(0x10020000) == 0\nassert libc.mount(b'none', FOLDER.encode(), b'tmpfs', 0, None) == 0",
        only=NAMESPACES,
    ),
    "io_uring": Attack(f"{C}assert libc.syscall(425, 4, ctypes.create_string_buffer(120)) >= 0", only=IO_URING),
    "raises its limits": Attack(
        "import resource\nhard = resource.getrlimit(resource.RLIMIT_CORE)[1]\nresource.setrlimit(resource.RLIMIT_CORE, (0, hard))"
    ),
    # --- the checker
    "exits before its tests": Attack("import sys\nsys.exit(0)\nassert False", FOOLS),
    "ends hard before its tests": Attack("import os\nos._exit(0)\nassert False", FOOLS),
    "prints the usual words": Attack("print('\"passed\"', flush=True)\nraise SystemExit", FOOLS),
    "patches what reports": Attack(
        "import json, os, builtins\njson.dumps = lambda *_, **__: '\"passed\"'\nos.write = lambda *_: 0\nos._exit = lambda *_: None\n"
        "builtins.exec = builtins.compile = lambda *_, **__: None\nassert False",
        FOOLS,
    ),
    "looks for the word in frames": Attack(
        "import os, re, sys\nframe, found = sys._getframe(), []\nwhile frame:\n"
        "    found += map(str, [*frame.f_locals.values(), *frame.f_globals.values()])\n    frame = frame.f_back\n"
        "words = set(re.findall('[0-9a-f]{32}', ' '.join(found)))\nassert words\nprint('\"passed\"', *words, flush=True)\n"
        "for word in words:\n    for descriptor in range(3, 40):\n        try: os.write(descriptor, word.encode())\n"
        "        except OSError: pass\nos._exit(0)",
        FOOLS,
    ),
    "reports itself": Attack(
        'import os\nfor descriptor in range(1, 40):\n    try: os.write(descriptor, b\'{"kind": "passed"}\')\n'
        "    except OSError: pass\nos._exit(0)",
        FOOLS,
    ),
    "floods the report": Attack(
        "import os\nfor _ in range(64):\n    for descriptor in range(1, 40):\n        try: os.write(descriptor, b'x' * 65536)\n"
        "        except OSError: pass",
        kinds=("output",),
    ),
    "closes all descriptors": Attack("import os\nos.closerange(0, 64)"),
}

OTHER = "import ctypes, time\nctypes.CDLL(None).prctl(0x59616d61, -1, 0, 0, 0)\nprint(flush=True)\ntime.sleep(600)"
RIGHT = Program(("def double(x):\n    return 2 * x", "assert double(3) == 6"))
SECRET = {"HF_TOKEN": "hf_secret"}


class Targets:
    """What attacks aim at: files that everybody may change, sockets, a process with a secret in its environment."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="attacked-"))
        self.folder.chmod(0o777)
        for name in ("secret", "open", "old"):
            (self.folder / name).write_text("token")
            (self.folder / name).chmod(0o666 if name == "open" else 0o644)
        self.before = self.state()
        self.listener, self.abstract = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
        name = f"attacked-{os.urandom(8).hex()}"
        self.abstract.bind(f"\0{name}")
        self.abstract.listen()
        self.process = subprocess.Popen(
            [bubblewrap.python(), "-I", "-S", "-c", OTHER], env=SECRET, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdout
        self.process.stdout.readline()  # it lets others look into it now
        names = {
            "FOLDER": str(self.folder),
            "PORT": self.listener.getsockname()[1],
            "ABSTRACT": name,
            "BYSTANDER": self.process.pid,
            "PARENT": os.getpid(),
            "WORKFLOW": str(Path(bubblewrap.__file__).with_name("verify.py")),
        }
        self.names = "".join(f"{name} = {value!r}\n" for name, value in names.items())

    def state(self) -> list:
        stats = [(path, path.lstat()) for path in sorted(self.folder.iterdir())]
        return [(path.name, one.st_mode, one.st_size, one.st_mtime, one.st_nlink) for path, one in stats]

    def harm(self) -> list[str]:
        """Return what attacks have done."""
        found = ["the other process has ended"] if self.process.poll() is not None else []
        return found + [str(one) for one in {*self.state()} ^ {*self.before}]

    def close(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.listener.close()
        self.abstract.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def does_harm(attack: Attack) -> bool:
    """Return whether an attack without a guard does what it is meant to."""
    targets = Targets()
    word = os.urandom(16).hex()
    program = f"{targets.names}\n{attack.program}"
    if attack.free == FOOLS:
        program = f"ATTACK = {program!r}\nWORD = {word!r}\n{NAIVE}"
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [bubblewrap.python(), "-I", "-S", "-B", "-c", program],
            stdout=out,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            env=SECRET,
            cwd="/",
            start_new_session=True,
        )
        try:
            if attack.free == RUNS:
                time.sleep(1)
                return process.poll() is None
            status = process.wait(30)
            out.seek(0)
            said = out.read(1 << 16).decode(errors="replace")
            if attack.leaves:
                time.sleep(1)
                return (targets.folder / attack.leaves).exists()
            if attack.free == FOOLS:
                return status == 0 and '"failed"' not in said and ("words" not in attack.program or word in said)
            return status < 0 if attack.free == DIES else status == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            targets.close()


def under(level: str) -> dict:
    """Return what comes of all attacks under the guard: {"outcomes": {name: (kind, reason)}, "next": the kinds of what runs after
    each, "harm": what they have done all the same}."""
    targets = Targets()
    outcomes, following = {}, []
    os.environ |= SECRET
    try:
        for limits, run in zip(LIMITS, (True, False), strict=True):
            chosen = {name: attack for name, attack in ATTACKS.items() if (attack.free == RUNS) is run}
            programs = [one for attack in chosen.values() for one in (Program((targets.names, attack.program)), RIGHT)]
            with Sandbox(limits, level, workers=4) as box:
                ended = box.map(programs)
            outcomes |= {name: one[:2] for name, one in zip(chosen, ended[::2], strict=True)}
            following += [one.kind for one in ended[1::2]]
        time.sleep(1)  # for what comes late
        return {
            "outcomes": outcomes,
            "next": following,
            "harm": targets.harm(),
        }
    finally:
        targets.close()


if __name__ == "__main__":
    if sys.argv[1] == "free":
        with ThreadPoolExecutor(4) as pool:
            print(json.dumps(dict(zip(ATTACKS, pool.map(does_harm, ATTACKS.values()), strict=True))))
    else:
        print(json.dumps(under(sys.argv[1])))
