"""What every server of the local stack shares: how its process is recognised, started, awaited and stopped; which port it gets.

A server is known by its command line, which names a file under the stack's folder: no pid file can be stale and a pid that
another program has by now is not mistaken. What Kafka or PostgreSQL need in particular lies in their own files.
"""

import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

PATIENCE = 90  # seconds a server may take to start on a loaded machine
GRACE = 30  # seconds it may take to stop before it is killed


class Failure(Exception):
    """What went wrong and what to do, for the person at the terminal."""


def say(text):
    print(f"stack: {text}", file=sys.stderr, flush=True)


def processes():
    """(pid, argv) of every live process that may be seen."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                argv = pathlib.Path(entry.path, "cmdline").read_bytes().split(b"\0")[:-1]
            except OSError:
                continue
            if argv:
                yield int(entry.name), [os.fsdecode(a) for a in argv]


def wait(condition, seconds, pause=0.1):
    """Whether `condition` held within that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def soon_free(port):
    """A process that has just ended may hold its port for a moment."""
    return wait(lambda: is_free(port), 2)


def free_port():
    """A free port below the ephemeral range: a client that reconnects to a stopped server could else be given that very port."""
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = range(20000, low) if low > 21000 else range(10000, 65536)
    for port in random.SystemRandom().sample(candidates, 1000):
        if is_free(port):
            return port
    raise Failure("no free port found in a thousand tries")


def choose_port(name, asked, before, default):
    """The asked port or an error; 0 is any free one; nothing asked: the port used before, the usual one, or a free one."""
    if asked:
        if not soon_free(asked):
            raise Failure(f"port {asked} for {name} is taken by another program: give another --{name}-port, or 0 for any free one")
        return asked
    usual = (before or default) if asked is None else None
    if usual and soon_free(usual):
        return usual
    port = free_port()
    if usual:
        say(f"port {usual} is taken by another program: {name} gets {port}")
    return port


def tail(log, lines=30):
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


class Server:
    """One background process of the stack. A subclass says how it is recognised, prepared, started, probed and stopped."""

    name = ""
    child = None
    stop_signals = (signal.SIGTERM, signal.SIGKILL)

    def __init__(self, folder, ports):
        self.folder, self.ports = folder, ports
        self.log = folder / f"{self.name}.log"

    @property
    def port(self):
        return self.ports.get(self.name)

    def pids(self):
        return [pid for pid, argv in processes() if self.owns(argv)]

    def spawn(self, argv, owner=None):
        """In a session of its own: Ctrl-C in the terminal is not for it."""
        self.log.unlink(missing_ok=True)
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True, **identity(owner)
            )

    def begin(self):
        """Start it unless it runs. `finish` waits for it."""
        self.begun = time.monotonic()
        if not self.pids():
            self.start()

    def finish(self):
        """Wait until it answers. The second call does nothing."""
        if not wait(lambda: not self.pids() or self.answers(), PATIENCE):
            raise Failure(f"{self.name} did not answer within {PATIENCE} s. The end of its log:\n{self.last_words()}")
        if not self.pids():
            raise Failure(f"{self.name} ended as it started. The end of its log:\n{self.last_words()}")
        if self.child:
            say(f"{self.name} ready on 127.0.0.1:{self.port} after {time.monotonic() - self.begun:.1f} s")
            self.child = None

    def last_words(self):
        return tail(self.log)

    def stop(self):
        for number in self.stop_signals:
            pids = self.pids()
            for pid in pids:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            if not pids or wait(lambda: not self.pids(), GRACE, 0.05):
                return bool(pids)
            say(f"{self.name} did not stop on signal {number} within {GRACE} s")
        raise Failure(f"{self.name} cannot be stopped (processes {self.pids()})")

    def wipe(self):
        shutil.rmtree(self.folder / self.name, ignore_errors=True)


def identity(owner):
    """The options of subprocess that make a child run as `owner`, a pwd entry; None is whoever runs this."""
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}


def run(argv, log, owner=None):
    """A command that must succeed; its output goes to the end of `log`."""
    with open(log, "ab") as out:
        code = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", **identity(owner)).returncode
    if code != 0:
        raise Failure(f"{argv[0]} failed with code {code}. The end of its output:\n{tail(log)}")
