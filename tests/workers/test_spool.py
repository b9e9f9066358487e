"""Outcomes on disk: readable whatever happened to their writer, and nobody else's business."""

import os
import stat

import pytest

from tasks_app.broker.answers import Settlement
from workers_app.executor.lanes import Lane
from workers_app.executor.spool import (
    Spool,
    SpoolFull,
    orphans,
    read_spool,
    spool_directory,
    spool_path,
)
from workers_app.executor.spooler import Spooler

EXECUTOR = "w-é.1:0:ab12"


def settlement(number, line=b'{"outcome":"completed","result":"\xc3\xa9"}'):
    return Settlement(id=f"task-{number}", token="t" * 32, outcome="completed", line=line)


def outcomes(*numbers, shard=0):
    return [(shard, settlement(number)) for number in numbers]


@pytest.fixture(autouse=True)
def _spools(settings, tmp_path):
    settings.DTPS = {**settings.DTPS, "SPOOL_DIR": str(tmp_path / "of" / "spools")}


@pytest.fixture
def spool():
    spool = Spool(spool_directory(), EXECUTOR, 10_000)
    yield spool
    spool.close()


def test_what_was_written_is_read_and_what_was_delivered_is_gone(spool):
    spool.append(outcomes(1, 2, shard=3))
    spool.append(outcomes(3))

    assert read_spool(spool_path(EXECUTOR)) == [*outcomes(1, 2, shard=3), *outcomes(3)]
    spool.clear()
    assert read_spool(spool_path(EXECUTOR)) == []
    spool.append(outcomes(4))
    assert read_spool(spool_path(EXECUTOR)) == outcomes(4)
    spool.close()
    assert not spool_path(EXECUTOR).exists()


def test_a_file_that_was_torn_at_any_byte_is_read_up_to_its_last_whole_line(spool, tmp_path):
    spool.append(outcomes(1, 2, 3))
    whole, torn = spool.path.read_bytes(), tmp_path / "torn"
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]

    for size in range(len(whole) + 1):
        torn.write_bytes(whole[:size])
        assert read_spool(torn) == outcomes(*range(1, 1 + sum(end <= size for end in ends)))


def test_after_a_line_that_is_none_nothing_is_believed(spool):
    spool.append(outcomes(1))
    with spool.path.open("ab") as file:
        file.write(b"\0" * 100 + b"\n" + spool.path.read_bytes())

    assert read_spool(spool.path) == outcomes(1)


def test_nothing_of_what_does_not_fit_is_written(spool):
    small = Spool(spool_directory(), "w:1:cd", 400)
    small.append(outcomes(1))

    with pytest.raises(SpoolFull):
        small.append(outcomes(2, 3, 4, 5))

    assert read_spool(small.path) == outcomes(1)
    small.clear()
    small.append(outcomes(6))
    assert read_spool(small.path) == outcomes(6)
    small.close()


def test_others_can_read_nothing(spool):
    before = os.umask(0)
    try:
        spool.append(outcomes(1))
    finally:
        os.umask(before)

    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.path.parent.stat().st_mode) == 0o700


def test_a_directory_that_is_only_a_link_is_refused(spool, tmp_path):
    spool_directory().parent.mkdir(parents=True)
    spool_directory().symlink_to(tmp_path)

    with pytest.raises(PermissionError):
        spool.append(outcomes(1))


def test_a_spool_is_an_orphan_once_its_executor_is_gone(spool):
    ready, told = os.pipe()
    go, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        spool.append(outcomes(1))
        os.write(told, b"x")
        os.read(go, 1)
        os._exit(0)
    os.read(ready, 1)
    of_the_living = orphans()
    os.close(end)
    os.waitpid(pid, 0)
    for each in (ready, told, go):
        os.close(each)

    assert of_the_living == []
    assert orphans() == [(EXECUTOR, spool_path(EXECUTOR))]


def test_spools_of_another_server_are_left_alone(spool, settings):
    spool.append(outcomes(1))
    here = spool_directory()

    settings.DTPS = {**settings.DTPS, "REDIS_URL": "redis://elsewhere:1/0"}

    assert spool_directory() != here
    assert orphans() == []


# --- when it is written ---


@pytest.fixture
def lane():
    return Lane(0, ["default"])


@pytest.fixture
def spooler(spool, lane):
    return Spooler(spool, [lane, Lane(1, ["mail"])])


def test_while_redis_is_there_nothing_is_written(spool, spooler, lane):
    lane.done.append((0, settlement(1)))
    spooler.note_delivered([settlement(1)])

    assert not spool.path.exists()


def test_what_is_in_flight_and_what_is_done_meanwhile_is_written_once(spool, spooler, lane):
    spooler.note_away(2, [settlement(1)])
    lane.done.append((0, settlement(2)))
    spooler.write_down()
    spooler.write_down()
    spooler.note_away(2, [settlement(1)])

    assert read_spool(spool.path) == [*outcomes(1, shard=2), *outcomes(2)]


def test_the_file_is_emptied_when_the_last_of_it_is_delivered(spool, spooler, lane):
    spooler.note_away(0, [settlement(1)])
    lane.done.append((0, settlement(2)))
    spooler.write_down()

    spooler.note_delivered([settlement(1)])
    assert read_spool(spool.path) == outcomes(1, 2)
    assert not spooler.is_away
    lane.done.clear()
    spooler.note_delivered([settlement(2)])

    assert read_spool(spool.path) == []


def test_with_no_room_or_no_disk_it_says_so_once_until_redis_is_back(spooler, spool, lane, caplog):
    spool.path.parent.parent.mkdir(parents=True)
    spool.path.parent.write_text("no directory")

    for number in range(3):
        lane.done.append((0, settlement(number)))
        spooler.note_away(0, [])
    assert spooler.is_full
    spooler.note_delivered([settlement(0)])

    assert not spooler.is_full
    assert caplog.text.count("event=spool_failed") == 1
