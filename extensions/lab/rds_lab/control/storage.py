# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage rules of RDS."""

from __future__ import annotations

import dataclasses

from . import catalogue
from .errors import RdsError, combination, value

TYPES = ("standard", "gp2", "gp3", "io1", "io2")
OPTIMIZING = "You can't currently modify the storage of this DB instance because the previous storage change is being optimized."


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a storage type allows for an engine and a size."""

    minimum: int
    maximum: int
    iops: tuple | None              # the range of the parameter; None: refused
    throughput: tuple | None
    ratio: tuple = (0.0, 500.0)     # Iops per GiB


def threshold(engine: str) -> int:
    """The size from which gp3 takes Iops and throughput."""
    if catalogue.is_sqlserver(engine):
        return 0
    return 200 if catalogue.is_oracle(engine) else 400


def limits(engine: str, kind: str, size: int) -> Limits:
    sqlserver = catalogue.is_sqlserver(engine)
    if kind == "standard":
        return Limits(20 if sqlserver else 5, 1024 if sqlserver else 3072, None, None)
    if kind in ("io1", "io2"):
        return Limits(20 if sqlserver else 100, 16384 if sqlserver else 65536, (1000, 256000), None, (1.0 if sqlserver else 0.5, 50.0))
    if kind == "gp2" or kind == "gp3" and 0 < size < threshold(engine):
        return Limits(20, 16384 if sqlserver else 65536, None, None)
    if sqlserver:
        return Limits(20, 16384, (3000, 16000), (125, 1000))
    return Limits(20, 65536, (12000, 64000), (500, 4000))


def baseline(engine: str, kind: str, size: int) -> dict:
    """What a describe shows where no parameter was given."""
    if kind != "gp3":
        return {"StorageThroughput": 0}
    if size < threshold(engine) or catalogue.is_sqlserver(engine):
        return {"Iops": 3000, "StorageThroughput": 125}
    return {"Iops": 12000, "StorageThroughput": 500}


def shown(engine: str, facts: dict) -> dict:
    """The storage members that a seeded description lacks."""
    kind = facts["StorageType"]
    result = baseline(engine, kind, facts["AllocatedStorage"])
    if kind in ("io1", "io2"):
        result["Iops"] = max(1000, facts["AllocatedStorage"])
    return result


def resolve(engine: str, kind: str, size: int, iops: int | None, throughput: int | None) -> dict:
    """The members AllocatedStorage, StorageType, Iops and StorageThroughput for what was asked.

    :param iops: the parameter as given; None if it was not.
    :raises RdsError: the combination is not allowed.
    """
    if kind not in TYPES:
        raise value(f"Invalid storage type: {kind}")
    allowed = limits(engine, kind, size)
    if not allowed.minimum <= size <= allowed.maximum:
        raise combination(f"Invalid storage size for engine name {engine} and storage type {kind}: {size}")
    result = {"AllocatedStorage": size, "StorageType": kind, **baseline(engine, kind, size)}
    if iops:
        _check_iops(engine, kind, size, iops, allowed)
        result["Iops"] = iops
    elif kind in ("io1", "io2"):
        raise combination(f"You must specify both the storage size and iops when modifying the storage size or iops on a DB instance "
                          f"that has iops. (engine {engine}, storage type {kind})")
    if throughput:
        _check_throughput(engine, kind, throughput, result.get("Iops", 0), allowed)
        result["StorageThroughput"] = throughput
    return result


def _refused(engine: str) -> RdsError:
    return combination(
        f"You can't specify IOPS or storage throughput for engine {engine} and a storage size less than {threshold(engine)}.")


def _check_iops(engine: str, kind: str, size: int, iops: int, allowed: Limits) -> None:
    if allowed.iops is None:
        if kind == "gp3":
            raise _refused(engine)
        raise combination(f"You can't specify iops for storage type {kind}.")
    low, high = allowed.iops
    if not low <= iops <= high:
        raise combination(f"Invalid iops value for engine name {engine} and storage type {kind}: {iops}. It must be between {low} "
                          f"and {high}.")
    if not allowed.ratio[0] <= iops / size <= allowed.ratio[1]:
        raise combination(f"The IOPS to GiB ratio for engine name {engine} and storage type {kind} must be between {allowed.ratio[0]:g} "
                          f"and {allowed.ratio[1]:g}: {iops / size:g}")


def _check_throughput(engine: str, kind: str, throughput: int, iops: int, allowed: Limits) -> None:
    if allowed.throughput is None:
        if kind == "gp3":
            raise _refused(engine)
        raise combination(f"You can't specify storage throughput for storage type {kind}.")
    low, high = allowed.throughput
    if not low <= throughput <= high:
        raise combination(f"Invalid storage throughput value for engine name {engine} and storage type {kind}: {throughput}")
    if iops and throughput / iops > 0.25:
        raise combination(f"The storage throughput to IOPS ratio must not be greater than 0.25: {throughput / iops:g}")


def from_snapshot(engine: str, held: dict, request: dict) -> dict:
    """The storage of a restored instance: RDS's defaults, not the source's values."""
    given = [name for name in ("AllocatedStorage", "Iops", "StorageThroughput", "StorageType") if name in request]
    if catalogue.is_sqlserver(engine):
        if given:
            raise combination(f"{', '.join(given)} can't be specified when a SQL Server DB instance is restored or replicated.")
        return {name: held[name] for name in ("AllocatedStorage", "StorageType", "Iops", "StorageThroughput") if name in held}
    size = request.get("AllocatedStorage", held["AllocatedStorage"])
    iops = request.get("Iops")
    kind = request.get("StorageType") or ("io1" if iops else "gp3")
    if size < held["AllocatedStorage"]:
        raise combination(f"Invalid storage size for engine name {engine} and storage type {kind}: {size}")
    if iops == 0 and kind in ("io1", "io2"):
        raise combination(f"Iops of 0 can't be combined with storage type {kind}.")
    if iops is None and kind in ("io1", "io2") and held.get("StorageType") in ("io1", "io2"):
        iops = held.get("Iops")     # taken from the backup
    if iops is None and kind == "gp3" == held.get("StorageType") and size >= threshold(engine) and held.get("Iops", 0) >= 12000:
        iops = held["Iops"]
    throughput = request.get("StorageThroughput")
    return resolve(engine, kind, size, iops, throughput)


def modified(engine: str, facts: dict, request: dict) -> dict:
    """The storage members that a ModifyDBInstance changes; empty if none."""
    names = ("AllocatedStorage", "StorageType", "Iops", "StorageThroughput")
    given = {name: request[name] for name in names if name in request}
    if all(facts.get(name) == item for name, item in given.items()):
        kind_now = facts["StorageType"]
        if kind_now not in ("io1", "io2") and (given.get("Iops") or given.get("StorageThroughput")):
            resolve(engine, kind_now, facts["AllocatedStorage"], given.get("Iops"), given.get("StorageThroughput"))
        return {}
    kind = given.get("StorageType", facts["StorageType"])
    size = given.get("AllocatedStorage", facts["AllocatedStorage"])
    now = facts["AllocatedStorage"]
    if size < now:
        raise combination(f"Invalid storage size for engine name {engine} and storage type {kind}: {size}. Requested storage size "
                          f"must not be less than the current storage size of {now}.")
    if now < size and size * 10 < now * 11:
        raise combination(f"Invalid storage size for engine name {engine} and storage type {kind}: {size}. The storage size must be "
                          f"increased by at least 10 percent from {now}.")
    piops = facts["StorageType"] in ("io1", "io2") and kind in ("io1", "io2")
    if piops and ("AllocatedStorage" in given) != ("Iops" in given):
        raise combination("You must specify both the storage size and iops when modifying the storage size or iops on a DB instance "
                          "that has iops.")
    iops, throughput = given.get("Iops"), given.get("StorageThroughput")
    if iops is None and kind == facts["StorageType"]:
        iops = facts.get("Iops") if piops else _kept(engine, kind, size, facts, "Iops", 12000)
    if throughput is None and kind == facts["StorageType"] == "gp3":
        throughput = _kept(engine, kind, size, facts, "StorageThroughput", 500)
    result = resolve(engine, kind, size, iops, throughput)
    return {name: item for name, item in result.items() if facts.get(name) != item or name in given}


def _kept(engine: str, kind: str, size: int, facts: dict, member: str, least: int) -> int | None:
    """A provisioned value that a change of another storage member keeps."""
    if kind != "gp3" or limits(engine, kind, size).iops is None:
        return None
    held = facts.get(member) or 0
    return held if held >= (least if not catalogue.is_sqlserver(engine) else 1) else None


def check_moment(instance, now: float, cooldown: float) -> None:
    """Storage is changed at most once in six hours, and never while it is optimized."""
    if now < instance.optimizing_until or now - instance.storage_changed < cooldown:
        raise combination(OPTIMIZING)
