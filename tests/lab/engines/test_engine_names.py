"""Names that resolve, and really stop resolving."""
from __future__ import annotations

import contextlib
import multiprocessing
import os
import pathlib
import socket
import subprocess

import pytest

from rds_lab.names import BEGIN
from rds_lab.names import Names
from rds_lab.names import started


@pytest.fixture
def hosts(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost", encoding="utf-8")
    return path


def test_a_name_resolves_for_every_program_until_it_is_taken_back(tmp_path):
    names = Names()
    name, other = (f"{word}-{os.getpid()}.c0.us-east-1.rds.lab.internal" for word in ("prod-one", "old-prod-one"))
    try:
        names.publish(name, "127.42.255.7")
        assert socket.gethostbyname(name) == "127.42.255.7"
        names.publish(name, "127.42.255.8")
        assert socket.gethostbyname(name) == "127.42.255.8", "a name moves"
        assert subprocess.run(["getent", "hosts", name], capture_output=True, text=True, check=True).stdout.split() == ["127.42.255.8", name]
        # a rename
        names.unpublish(name)
        with pytest.raises(OSError):
            socket.gethostbyname(name)
        names.publish(other, "127.42.255.8")
        assert socket.gethostbyname(other) == "127.42.255.8"
        assert subprocess.run(["getent", "hosts", name], check=False, capture_output=True).returncode != 0
    finally:
        names.close()
    with pytest.raises(OSError):
        socket.gethostbyname(other)


def test_the_file_is_written_in_place_and_the_rest_of_it_is_kept(hosts):
    inode = hosts.stat().st_ino
    names = Names(str(hosts))
    names.publish("a.lab.internal", "127.42.1.1")
    names.publish("b.lab.internal", "127.42.1.2")
    text = hosts.read_text(encoding="utf-8")
    assert text.startswith("127.0.0.1 localhost\n" + BEGIN)
    assert [line.split() for line in text.splitlines()[2:4]] == [["127.42.1.1", "a.lab.internal"], ["127.42.1.2", "b.lab.internal"]]
    with open(hosts, "a", encoding="utf-8") as file:
        file.write("10.0.0.1 somebody-elses\n")
    names.unpublish("a.lab.internal")
    names.publish("c.lab.internal", "127.42.1.3")
    rows = [line.split() for line in hosts.read_text(encoding="utf-8").splitlines()]
    assert rows[2:4] == [["127.42.1.3", "c.lab.internal"], ["127.42.1.2", "b.lab.internal"]], "no other line moves"
    assert rows[-1] == ["10.0.0.1", "somebody-elses"]
    names.close()
    assert hosts.read_text(encoding="utf-8") == "127.0.0.1 localhost\n10.0.0.1 somebody-elses\n"
    assert hosts.stat().st_ino == inode, "a bind mount cannot be replaced"


def test_names_of_dead_labs_go_and_names_of_living_ones_stay(hosts):
    own = os.getppid()
    hosts.write_text(
        "127.0.0.1 localhost\n"
        f"{BEGIN} pid={own} started={started(own)} lab=1\n127.42.9.1 living.lab.internal\n# rds-lab end\n"
        f"{BEGIN} pid={own} started=1 lab=2\n127.42.9.2 reused-process-id.lab.internal\n# rds-lab end\n"
        f"{BEGIN} pid=99999999 started=5 lab=3\n127.42.9.3 dead.lab.internal\n# rds-lab end\n", encoding="utf-8")
    names = Names(str(hosts))
    names.publish("new.lab.internal", "127.42.1.1")
    text = hosts.read_text(encoding="utf-8")
    assert "living" in text and "new" in text and "dead" not in text and "reused" not in text
    with pytest.raises(RuntimeError, match="Another lab"):
        names.publish("living.lab.internal", "127.42.1.1")
    assert hosts.read_text(encoding="utf-8") == text
    names.close()
    assert "living" in hosts.read_text(encoding="utf-8")


def _publish_many(path: str, number: int) -> None:
    names = Names(path)
    for round_ in range(40):
        names.publish(f"n{number}-{round_}.lab.internal", f"127.42.{number}.{round_ + 1}")
    for round_ in range(0, 40, 2):
        names.unpublish(f"n{number}-{round_}.lab.internal")
    if number != 1:
        names.close()


def test_labs_that_write_at_once_lose_nothing(hosts):
    context = multiprocessing.get_context("fork")
    keeper = Names(str(hosts))
    keeper.publish("keeper.lab.internal", "127.42.1.1")
    workers = [context.Process(target=_publish_many, args=(str(hosts), number)) for number in range(2, 6)]
    with contextlib.ExitStack() as running:
        for worker in workers:
            worker.start()
            running.callback(worker.join)
        while any(worker.is_alive() for worker in workers):
            lines = [line.split() for line in pathlib.Path(hosts).read_text(encoding="utf-8").splitlines()]
            assert ["127.0.0.1", "localhost"] in lines, "a reader must never see half a file"
            assert ["127.42.1.1", "keeper.lab.internal"] in lines, "what others do to their names must not be felt"
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert hosts.read_text(encoding="utf-8").count("lab.internal") == 1
    keeper.close()
    assert hosts.read_text(encoding="utf-8") == "127.0.0.1 localhost\n"
