# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What differs between RDS engines: one row per engine. An ``if engine ==`` anywhere else means that a column is missing here."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Strategy:
    """One way of encrypting.

    :param role: the role whose task files fill the slots of the phases.
    :param follows: the target is built while the source serves and follows it; the fence comes when it has caught up. Otherwise the
        target is made from a snapshot behind the fence.
    :param pause_before: the phase before which somebody may want to be asked: the one that the applications notice.
    """

    role: str
    follows: bool = False
    pause_before: str = "cutover"


STRATEGIES = {
    "cold": Strategy("dbre.rds_encryption.cold"),
    "mysql_replication": Strategy("dbre.rds_encryption.mysql_replication", follows=True, pause_before="fence"),
}


@dataclass(frozen=True)
class Engine:
    """One RDS engine.

    :param name: the ``Engine`` member of a described instance.
    :param client: which SQL client speaks to it, or None when the collection works through the RDS API alone.
    :param family: dialect of that client: ``mysql``, ``mariadb``, ``postgres`` or ``none``.
    :param sql_remark: what the plan says of the checks by SQL that this engine does not have; empty where it has all of them.
    :param strategies: the strategies (keys of ``STRATEGIES``) that can encrypt it.
    :param gp3_threshold_gib: from this size on gp3 takes Iops and StorageThroughput as parameters; below it RDS refuses them, even when
        they equal the baseline that it reports (RDS User Guide: DB instance storage).
    :param gp3_baseline: (Iops, throughput MiB/s) that RDS gives below the threshold, and at or above it.
    :param storage_at_restore: False when storage may only be set by ModifyDBInstance (CloudFormation's RDS provider: SQL Server).
    :param multi_az_at_restore: False when Multi-AZ may only be set by ModifyDBInstance (SQL Server: mirroring needs backups first).
    :param iam_authentication: IAM database authentication exists, so that an explicit ``false`` is a legal parameter.
    :param lifecycle_support: RDS Extended Support exists, so that ``EngineLifecycleSupport`` means something.
    :param stops_multi_az: StopDBInstance takes a Multi-AZ instance (RDS User Guide: Stopping a DB instance; SQL Server: not).
    :param activity_stream: instances have database activity streams (RDS User Guide: Database Activity Streams).
    :param parameter_group_at_replica: CreateDBInstanceReadReplica takes DBParameterGroupName in the same region.
    :param option_group_at_replica: CreateDBInstanceReadReplica takes an OptionGroupName that is not the source's.
    :param replicas_per_source: how many replicas RDS allows per source.
    :param replica_levels: how long a chain of replicas may be.
    :param major_parts: how many leading numbers of EngineVersion name the major version.
    """

    name: str
    client: str | None = None
    family: str = "none"
    sql_remark: str = "is not checked by SQL (connections, accounts, settings, data): see yourself that nobody is connected behind the fence"
    strategies: tuple[str, ...] = ("cold",)
    gp3_threshold_gib: int = 400
    gp3_baseline: tuple[tuple[int, int], tuple[int, int]] = ((3000, 125), (12000, 500))
    storage_at_restore: bool = True
    multi_az_at_restore: bool = True
    iam_authentication: bool = False
    lifecycle_support: bool = False
    stops_multi_az: bool = True
    activity_stream: bool = False
    parameter_group_at_replica: bool = False
    option_group_at_replica: bool = True
    replicas_per_source: int = 5
    replica_levels: int = 1
    default_port: int | None = None
    major_parts: int = 2
    supported: bool = True
    unsupported_reason: str = ""

    def takes_gp3_performance(self, size_gib: int | None) -> bool:
        """Whether RDS accepts Iops and StorageThroughput for a gp3 volume of this size."""
        return (size_gib or 0) >= self.gp3_threshold_gib

    def gp3_default(self, size_gib: int | None) -> tuple[int, int]:
        """(Iops, MiB/s) of a gp3 volume for which nothing was asked."""
        return self.gp3_baseline[1 if self.takes_gp3_performance(size_gib) else 0]


_MYSQL = Engine(
    "mysql",
    client="mysql",
    family="mysql",
    sql_remark="",
    strategies=("cold", "mysql_replication"),
    iam_authentication=True,
    lifecycle_support=True,
    replicas_per_source=15,
    replica_levels=3,
    default_port=3306,
)
_MARIADB = replace(_MYSQL, name="mariadb", family="mariadb", lifecycle_support=False)
_POSTGRES = replace(
    _MYSQL,
    name="postgres",
    client="postgresql",
    family="postgres",
    strategies=("cold",),
    sql_remark="is checked by SQL for logins and connections; roles, grants and settings come with the snapshot, data are not compared",
    default_port=5432,
    major_parts=1,
)
_ORACLE = Engine(
    "oracle-ee", gp3_threshold_gib=200, activity_stream=True, parameter_group_at_replica=True, default_port=1521, major_parts=1
)
_SQLSERVER = Engine(
    "sqlserver-ee",
    gp3_threshold_gib=0,
    gp3_baseline=((3000, 125), (3000, 125)),
    storage_at_restore=False,
    multi_az_at_restore=False,
    stops_multi_az=False,
    activity_stream=True,
    option_group_at_replica=False,
    default_port=1433,
)
_DB2 = Engine("db2-se", parameter_group_at_replica=True, replicas_per_source=3, default_port=50000)
_CLUSTER = Engine(
    "aurora",
    strategies=(),
    supported=False,
    unsupported_reason="is a member of a DB cluster; clusters need another way (the cluster, then its members) and are refused for now",
)
_AURORA_MYSQL = replace(_CLUSTER, name="aurora-mysql", client="mysql", family="mysql", replicas_per_source=15, default_port=3306)
_AURORA_POSTGRES = replace(
    _CLUSTER, name="aurora-postgresql", client="postgresql", family="postgres", replicas_per_source=15, default_port=5432, major_parts=1
)
_CUSTOM = Engine(
    "custom-",
    strategies=(),
    supported=False,
    unsupported_reason="runs on RDS Custom, whose automation, instance profile and volumes cannot be carried",
)
_UNKNOWN = Engine(
    "",
    strategies=(),
    storage_at_restore=False,
    multi_az_at_restore=False,
    replicas_per_source=0,
    supported=False,
    unsupported_reason="runs an engine that this version of the collection does not know",
)

ENGINES: tuple[Engine, ...] = (
    _MYSQL,
    _MARIADB,
    _POSTGRES,
    _ORACLE,
    replace(_ORACLE, name="oracle-ee-cdb"),
    replace(_ORACLE, name="oracle-se2"),
    replace(_ORACLE, name="oracle-se2-cdb"),
    replace(_ORACLE, name="oracle-se1"),
    replace(_ORACLE, name="oracle-se"),
    _SQLSERVER,
    replace(_SQLSERVER, name="sqlserver-se"),
    replace(_SQLSERVER, name="sqlserver-ex"),
    replace(_SQLSERVER, name="sqlserver-web"),
    replace(_SQLSERVER, name="sqlserver-dev-ee"),
    _DB2,
    replace(_DB2, name="db2-ae"),
    replace(_DB2, name="db2-ce"),
    _CLUSTER,
    _AURORA_MYSQL,
    _AURORA_POSTGRES,
)

_BY_NAME = {engine.name: engine for engine in ENGINES}
_BY_PREFIX = (("oracle-", _ORACLE), ("sqlserver-", _SQLSERVER), ("db2-", _DB2), ("aurora", _CLUSTER), ("custom-", _CUSTOM))


def engine_row(name: str | None) -> Engine:
    """The row of an engine; a new edition gets its family's row, an unknown engine a row that is refused and has no client."""
    name = name or ""
    known = _BY_NAME.get(name)
    if known:
        return known
    for prefix, engine in _BY_PREFIX:
        if name.startswith(prefix):
            return replace(engine, name=name)
    return replace(_UNKNOWN, name=name)
