"""The local stack (deploy/stack) does what its users rely on: ready when `up` returns, back after a crash, alone in what it stops."""

import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg
import pytest

STACK = pathlib.Path(__file__).parents[2] / "deploy/stack"


class Stack:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self, *words):
        return subprocess.run([STACK, *words, "--dir", self.folder], capture_output=True, text=True)

    def up(self, *words):
        done = self("up", *words)
        assert done.returncode == 0, done.stderr
        lines = (self.folder / "env").read_text().splitlines()
        return {key: shlex.split(value)[0] for key, value in (line.split("=", 1) for line in lines)}

    def pids(self):
        rows = (line.split() for line in self("status").stdout.splitlines())
        return {row[0]: int(row[-1]) for row in rows if row[1] == "up"}


@pytest.fixture
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="tickcast-stack.", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    assert Stack(path)("down", "--wipe").returncode == 0
    shutil.rmtree(path)


def one(url, statement):
    with psycopg.connect(url, connect_timeout=10) as session:
        return session.execute(statement).fetchone()[0]


def test_a_stack_comes_back_after_a_crash_with_its_data_and_ports(folder):
    stack = Stack(folder)
    env = stack.up("--free-ports", "--pgbouncer-port", "0")
    before = stack.pids()
    assert set(before) == {"kafka", "postgres", "pgbouncer"}
    with psycopg.connect(env["TICKCAST__POSTGRES__URL"]) as session:
        session.execute("CREATE TABLE kept AS SELECT 42 AS x")

    for name in ("kafka", "postgres"):
        os.kill(before[name], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while len(stack.pids()) != 1:
        assert time.monotonic() < deadline
    assert stack("status").returncode == 1

    assert stack.up() == env
    after = stack.pids()
    assert after["pgbouncer"] == before["pgbouncer"], "what still ran was left alone"
    assert one(env["TICKCAST_TEST_PGBOUNCER_URL"], "SELECT x FROM kept") == 42

    assert stack.up() == env
    assert stack.pids() == after, "a second `up` changes nothing"
    assert stack("down").returncode == 0
    assert stack.pids() == {} and stack("status").returncode == 1
    assert stack("down").returncode == 0


def test_down_leaves_other_stacks_and_taken_ports_alone(folder):
    mine = os.environ.get("TICKCAST_STACK_DIR")
    if not mine:
        pytest.skip("no stack in the environment: run through deploy/test")
    other = Stack(pathlib.Path(mine))
    running = other.pids()
    port = os.environ["TICKCAST__KAFKA__BROKERS"].rsplit(":", 1)[1]

    stack = Stack(folder)
    refused = stack("up", "--kafka-port", port)
    assert refused.returncode == 1 and f"port {port} for kafka is taken" in refused.stderr
    assert stack("down").returncode == 0
    assert running and other.pids() == running
