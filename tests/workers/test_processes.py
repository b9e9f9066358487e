"""The tests' own processes: whoever ends them ends nobody else."""

import subprocess
import sys
from contextlib import contextmanager

import pytest

from ..conftest import wait_until
from .processes import Process, is_alive


@contextmanager
def stranger():
    """A process of somebody else, in a session of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def ends_as_it_likes(process):
    """Whether nobody has killed it: it ends once its input does."""
    process.communicate()
    return process.returncode == 0


@pytest.fixture
def ended(tmp_path):
    process = Process("version", redis_url="", var_dir=tmp_path)
    assert process.wait() == 0
    return process


def test_a_number_that_an_executor_had_may_be_anybodys_by_now(ended):
    with stranger() as other:
        with ended.log_path.open("a") as log:
            log.write(f"event=executor_started executor=w1:0:x pid={other.pid}\n")

        ended.close()

        assert ends_as_it_likes(other)


def test_so_may_the_number_that_the_command_had(ended):
    with stranger() as other:
        ended.popen.pid = other.pid

        ended.close()

        assert ends_as_it_likes(other)


def test_what_a_dead_command_has_left_is_ended(tmp_path):
    process = Process("shell", "-c", LEAVES_A_CHILD, redis_url="", var_dir=tmp_path)
    assert process.wait() == 0
    pid = int(process.log.split()[-1])
    assert is_alive(pid)

    process.close()

    wait_until(lambda: not is_alive(pid), "the end of what was left")


LEAVES_A_CHILD = """
import subprocess
print(subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL).pid)
"""
