"""The end of a redo log that was copied from a running MariaDB: old records behind the last true one."""
from __future__ import annotations

import pytest
from lab_servers import LAB  # noqa: F401  # pylint: disable=unused-import

from rds_lab.servers.mariadb_log import _crc32c
from rds_lab.servers.mariadb_log import cut_stale_tail

START, BLOCK, SIZE = 12288, 4096, 12288 + 16 * 4096


def record(number: int) -> bytes:
    """A mini-transaction of 40 bytes, of the first lap around the ring."""
    body = b"\x35" + number.to_bytes(4, "big") + b"x"           # five bytes follow the first one
    body += b"\x30" + bytes([28 - 15]) + b"\x07" * 27            # 28 bytes follow, in the long form
    return body + b"\x01" + _crc32c(body).to_bytes(4, "big")


def log(records: bytes, filling: bytes = b"", read_from: int = 0) -> bytearray:
    """A log file.

    :param filling: what the buffer of the last block held before, a whole block.
    :param read_from: where recovery begins to read.
    """
    content = bytearray(SIZE)
    content[:4] = b"Phys"
    content[8:16] = START.to_bytes(8, "big")
    content[BLOCK:BLOCK + 8] = (START + read_from).to_bytes(8, "big")
    content[START:START + len(records)] = records
    if filling:
        content[START + len(records):START + (len(records) // BLOCK + 1) * BLOCK] = filling[len(records) % BLOCK:]
    return content


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ib_logfile0"


def test_old_records_behind_the_last_true_one_are_cut(path):
    old = b"".join(record(number) for number in range(2 * 512))[:10 * BLOCK]
    old = old[:len(old) // 40 * 40]
    true = old + b"".join(record(number) for number in range(5000, 5000 + 12))
    inside = len(true) % BLOCK
    stale = b"".join(record(number) for number in range(7000, 7040))
    content = log(true, filling=bytes(inside) + stale + bytes(BLOCK), read_from=len(old))
    # two blocks earlier the same bytes are at the same place: there they were true
    earlier = START + (len(true) // BLOCK - 2) * BLOCK + inside
    room = BLOCK - inside
    content[earlier:earlier + room] = (stale + bytes(BLOCK))[:room]
    end = START + (len(true) // BLOCK + 1) * BLOCK
    del content[end:]
    content += bytes(SIZE - len(content))
    path.write_bytes(content)
    assert cut_stale_tail(path) == START + len(true)
    mended = path.read_bytes()
    assert mended[:START + len(true)] == content[:START + len(true)], "what is true stays"
    assert not any(mended[START + len(true):]), "what is old goes"
    assert cut_stale_tail(path) is None


@pytest.mark.parametrize("filling", [b"", b"\xff" * BLOCK, bytes(range(256)) * 16], ids=["nothing", "ones", "nonsense"])
def test_a_log_that_ends_by_itself_is_left_alone(path, filling):
    content = log(b"".join(map(record, range(300))), filling)
    path.write_bytes(content)
    assert cut_stale_tail(path) is None
    assert path.read_bytes() == content


def test_another_format_is_left_alone(path):
    path.write_bytes(b"\x00" * SIZE)
    assert cut_stale_tail(path) is None
