# Copyright: the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of MariaDB's redo log in a copy of a server that was running.

MariaDB 10.8 to 11 writes its redo log in blocks of 4096 bytes and fills the last one with whatever the buffer held before:
older records, which were written elsewhere long ago. Recovery recognises the end of the log by a record that makes no sense.
When the true end happens to coincide with the beginning of an old record at the same place of its block, the old records are
taken for new ones and applied again: the recovered data are corrupt, or the recovery stops with an assertion. Measured on
10.11.18 with small transactions: one crash in seventy. So the tail is cut where the old records begin.
"""
from __future__ import annotations

import itertools
import pathlib

_FORMAT = b"Phys"       # of ib_logfile0 since MariaDB 10.8
_START = 12288          # where the ring of records begins
_CHECKPOINTS = (4096, 8192)
_BLOCK = 4096


def cut_stale_tail(path: pathlib.Path) -> int | None:
    """The position in the file where the log was cut, None where it ends as it should.

    :param path: ib_logfile0 in a folder that no server uses.
    """
    data = path.read_bytes()
    if data[:4] != _FORMAT or len(data) <= _START:
        return None
    capacity = len(data) - _START
    first = int.from_bytes(data[8:16], "big")
    checkpoint = max(int.from_bytes(data[position:position + 8], "big") for position in _CHECKPOINTS)
    begin = checkpoint - first
    ring = data[_START:]
    ends = _boundaries(ring[begin % capacity:] + ring[:begin % capacity], begin, capacity)
    # Only the last block that was written has a filling.
    last = (begin + ends[-1] - 1) % capacity // _BLOCK
    for start, end in itertools.pairwise(ends):
        place = (begin + start) % capacity
        inside = place % _BLOCK
        if place // _BLOCK == last and inside + end - start <= _BLOCK and _is_in_another_block(ring, ring[place:place + end - start], inside, last):
            with open(path, "r+b") as file:
                file.seek(_START + place)
                file.write(bytes(_BLOCK - inside))
            return _START + place
    return None


def _is_in_another_block(ring: bytes, record: bytes, inside: int, own: int) -> bool:
    """Whether some other block holds the same bytes at the same place within the block."""
    return any(block != own and ring.startswith(record, block * _BLOCK + inside) for block in range(len(ring) // _BLOCK))


def _boundaries(records: bytes, begin: int, capacity: int) -> list[int]:
    """The places where mini-transactions begin and end, from the checkpoint to the end that a recovery sees."""
    result = [0]
    while True:
        start = result[-1]
        marker = _marker(records, start)
        # The marker tells the laps around the ring apart.
        if marker is None or records[marker] != 1 - (begin + marker) // capacity % 2:
            return result
        if _crc32c(records[start:marker]) != int.from_bytes(records[marker + 1:marker + 5], "big"):
            return result
        result.append(marker + 5)


def _marker(records: bytes, position: int) -> int | None:
    """The place of the byte that ends the mini-transaction, None if none begins here."""
    if position >= len(records) or records[position] <= 1:
        return None  # an empty one is never written
    while position + 5 <= len(records):
        head = records[position]
        if head <= 1:
            return position
        position += 1
        length = head & 0xF
        if not length:
            _width, more = _decode(records, position)
            length = more + 15
        position += length
    return None


_TABLE = []
for _byte in range(256):
    for _bit in range(8):
        _byte = _byte >> 1 ^ (0x82F63B78 if _byte & 1 else 0)
    _TABLE.append(_byte)


def _crc32c(data: bytes) -> int:
    """The Castagnoli checksum."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


def _decode(records: bytes, position: int) -> tuple[int, int]:
    """Width and value of a number in the log's encoding."""
    head = records[position]
    if head < 0x80:
        return 1, head
    if head < 0xC0:
        return 2, 0x80 + (int.from_bytes(records[position:position + 2], "big") & 0x3FFF)
    if head < 0xE0:
        return 3, 0x4080 + (int.from_bytes(records[position:position + 3], "big") & 0x1FFFFF)
    if head < 0xF0:
        return 4, 0x204080 + (int.from_bytes(records[position:position + 4], "big") & 0xFFFFFFF)
    return 5, 0x10204080 + int.from_bytes(records[position + 1:position + 5], "big")
