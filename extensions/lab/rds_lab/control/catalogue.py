# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What RDS offers: engines, versions, families, parameters, certificates, logs, features."""

from __future__ import annotations

import dataclasses
import datetime
import re

from .errors import RdsError


@dataclasses.dataclass(frozen=True)
class EngineFacts:
    port: int
    license: str
    versions: tuple
    logs: tuple = ()
    replicas: int = 15          # per source
    levels: int = 1             # of a chain


_MYSQL_LOGS = ("audit", "error", "general", "iam-db-auth-error", "slowquery")
_POSTGRES_LOGS = ("postgresql", "upgrade", "iam-db-auth-error")
_ORACLE_LOGS = ("alert", "audit", "listener", "trace", "oemagent")

ENGINES = {
    "mysql": EngineFacts(3306, "general-public-license", (
        "5.7.44", "8.0.32", "8.0.35", "8.0.36", "8.0.37", "8.0.39", "8.0.40", "8.0.41", "8.0.42", "8.0.43", "8.0.44",
        "8.4.3", "8.4.4", "8.4.5", "8.4.6", "8.4.7"), _MYSQL_LOGS, levels=3),
    "mariadb": EngineFacts(3306, "general-public-license", (
        "10.5.29", "10.6.19", "10.6.22", "10.11.10", "10.11.13", "10.11.14", "11.4.4", "11.4.5", "11.4.7", "11.4.8", "11.8.3"),
        _MYSQL_LOGS, levels=3),
    "postgres": EngineFacts(5432, "postgresql-license", (
        "12.22", "13.20", "13.22", "14.17", "14.19", "15.12", "15.14", "16.8", "16.9", "16.10", "17.4", "17.5", "17.6"),
        _POSTGRES_LOGS, levels=3),
    "oracle-ee": EngineFacts(1521, "bring-your-own-license", ("19.0.0.0.ru-2025-01.rur-2025-01.r1",), _ORACLE_LOGS, replicas=5),
    "oracle-se2": EngineFacts(1521, "license-included", ("19.0.0.0.ru-2025-01.rur-2025-01.r1",), _ORACLE_LOGS, replicas=0),
    "oracle-ee-cdb": EngineFacts(1521, "bring-your-own-license", ("19.0.0.0.ru-2025-01.rur-2025-01.r1",), _ORACLE_LOGS, replicas=5),
    "oracle-se2-cdb": EngineFacts(1521, "license-included", ("19.0.0.0.ru-2025-01.rur-2025-01.r1",), _ORACLE_LOGS, replicas=0),
    "sqlserver-ee": EngineFacts(1433, "license-included", ("15.00.4430.1.v1", "16.00.4185.3.v1"), ("agent", "error"), replicas=5),
    "sqlserver-se": EngineFacts(1433, "license-included", ("15.00.4430.1.v1", "16.00.4185.3.v1"), ("agent", "error"), replicas=0),
    "sqlserver-ex": EngineFacts(1433, "license-included", ("15.00.4430.1.v1", "16.00.4185.3.v1"), ("agent", "error"), replicas=0),
    "sqlserver-web": EngineFacts(1433, "license-included", ("15.00.4430.1.v1", "16.00.4185.3.v1"), ("agent", "error"), replicas=0),
    "db2-se": EngineFacts(50000, "bring-your-own-license", ("11.5.9.0.sb00000000.r1",), ("diag.log", "notify.log"), replicas=3),
    "db2-ae": EngineFacts(50000, "bring-your-own-license", ("11.5.9.0.sb00000000.r1",), ("diag.log", "notify.log"), replicas=3),
    "aurora-mysql": EngineFacts(3306, "general-public-license", ("8.0.mysql_aurora.3.08.2",), _MYSQL_LOGS, replicas=0),
    "aurora-postgresql": EngineFacts(5432, "postgresql-license", ("16.8",), ("postgresql",), replicas=0),
}
_OTHER = EngineFacts(3306, "license-included", ())

FEATURES = {"s3Import", "s3Export", "Lambda", "Comprehend", "SageMaker", "S3_INTEGRATION", "UTL_HTTP", "Bedrock"}

CERTIFICATES = {
    "rds-ca-rsa2048-g1": 2061,
    "rds-ca-rsa4096-g1": 2121,
    "rds-ca-ecc384-g1": 2121,
    "rds-ca-2019": 2024,
}
DEFAULT_CERTIFICATE = "rds-ca-rsa2048-g1"

#: Instance classes that cannot be encrypted.
UNENCRYPTABLE = ("db.m1.", "db.m2.", "db.t1.micro", "db.t2.micro")


def facts(engine: str) -> EngineFacts:
    return ENGINES.get(engine, _OTHER)


def is_aurora(engine: str) -> bool:
    return engine.startswith("aurora")


def is_sqlserver(engine: str) -> bool:
    return engine.startswith(("sqlserver", "custom-sqlserver"))


def is_oracle(engine: str) -> bool:
    return engine.startswith(("oracle", "custom-oracle"))


def is_mysql_like(engine: str) -> bool:
    return engine in ("mysql", "mariadb")


def version_key(version: str) -> tuple:
    """Orders versions."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def major(engine: str, version: str) -> str:
    """The major version: `8.0`, `16`, `19`."""
    parts = version.split(".")
    if engine == "postgres" or engine == "aurora-postgresql":
        return parts[0] if int(parts[0]) >= 10 else ".".join(parts[:2])
    if is_oracle(engine):
        return parts[0]
    return ".".join(parts[:2])


def family(engine: str, version: str) -> str:
    """The parameter group family of a version."""
    number = major(engine, version)
    if is_oracle(engine) or engine.startswith("db2"):
        return f"{engine}-{number}"
    if is_sqlserver(engine):
        return f"{engine}-{number.split('.')[0]}.0"
    return f"{engine}{number}"


def default_option_group(engine: str, version: str) -> str:
    number = major(engine, version)
    if is_sqlserver(engine):
        number = number.split(".")[0] + ".00"
    return f"default:{engine}-{number.replace('.', '-')}"


def default_version(engine: str) -> str:
    known = facts(engine).versions
    if not known:
        raise RdsError("InvalidParameterValue", f"Invalid DB engine: {engine}")
    return known[-1]


def certificate_end(identifier: str) -> datetime.datetime:
    return datetime.datetime(CERTIFICATES[identifier], 5, 22, tzinfo=datetime.timezone.utc)


def encryptable(instance_class: str) -> bool:
    return not instance_class.startswith(UNENCRYPTABLE)


def vcpu_class(instance_class: str) -> bool:
    return bool(re.fullmatch(r"db\.[a-z0-9-]+\.[a-z0-9-]+(\.[a-z0-9.]+)?", instance_class))


# name, default, apply type, data type, allowed values
_MYSQL = """
autocommit|1|dynamic|boolean|0,1
back_log||static|integer|1-65535
binlog_cache_size|32768|dynamic|integer|4096-18446744073709547520
binlog_checksum|CRC32|dynamic|string|NONE,CRC32
binlog_expire_logs_seconds|2592000|dynamic|integer|0-4294967295
binlog_format|MIXED|dynamic|string|ROW,STATEMENT,MIXED
binlog_order_commits|1|dynamic|boolean|0,1
binlog_row_image|full|dynamic|string|full,minimal,noblob
binlog_row_metadata|MINIMAL|dynamic|string|FULL,MINIMAL
character_set_client||dynamic|string|utf8,utf8mb3,utf8mb4,latin1,ascii,binary
character_set_connection||dynamic|string|utf8,utf8mb3,utf8mb4,latin1,ascii,binary
character_set_database||dynamic|string|utf8,utf8mb3,utf8mb4,latin1,ascii,binary
character_set_filesystem||dynamic|string|utf8,utf8mb3,utf8mb4,latin1,ascii,binary
character_set_results||dynamic|string|utf8,utf8mb3,utf8mb4,latin1,ascii,binary
character_set_server||dynamic|string|utf8,utf8mb3,utf8mb4,latin1,ascii,binary
collation_connection||dynamic|string|
collation_server||dynamic|string|
connect_timeout|10|dynamic|integer|2-31536000
default_storage_engine|InnoDB|dynamic|string|InnoDB
default_time_zone||static|string|
enforce_gtid_consistency|OFF|dynamic|string|OFF,WARN,ON
event_scheduler|ON|dynamic|string|ON,OFF
explicit_defaults_for_timestamp|1|dynamic|boolean|0,1
ft_min_word_len||static|integer|1-84
general_log|0|dynamic|boolean|0,1
group_concat_max_len|1024|dynamic|integer|4-18446744073709551615
gtid-mode|OFF_PERMISSIVE|static|string|OFF,OFF_PERMISSIVE,ON_PERMISSIVE,ON
gtid_mode|OFF_PERMISSIVE|static|string|OFF,OFF_PERMISSIVE,ON_PERMISSIVE,ON
gtid_domain_id|0|dynamic|integer|0-4294967295
gtid_strict_mode|0|dynamic|boolean|0,1
init_connect||dynamic|string|
innodb_adaptive_hash_index|1|dynamic|boolean|0,1
innodb_autoinc_lock_mode|2|static|integer|0-2
innodb_buffer_pool_dump_at_shutdown|1|dynamic|boolean|0,1
innodb_buffer_pool_instances||static|integer|1-64
innodb_buffer_pool_load_at_startup|1|static|boolean|0,1
innodb_buffer_pool_size|{DBInstanceClassMemory*3/4}|dynamic|integer|5242880-9223372036854775807
innodb_flush_log_at_trx_commit|1|dynamic|integer|0-2
innodb_file_per_table|1|dynamic|boolean|0,1
innodb_io_capacity|200|dynamic|integer|100-18446744073709551615
innodb_lock_wait_timeout|50|dynamic|integer|1-1073741824
innodb_log_buffer_size|8388608|dynamic|integer|262144-4294967295
innodb_log_file_size|134217728|static|integer|4194304-274877906944
innodb_print_all_deadlocks|0|dynamic|boolean|0,1
innodb_read_io_threads||static|integer|1-64
innodb_redo_log_capacity|2147483648|dynamic|integer|8388608-137438953472
innodb_stats_persistent|1|dynamic|boolean|0,1
innodb_strict_mode|0|dynamic|boolean|0,1
innodb_write_io_threads||static|integer|1-64
interactive_timeout|28800|dynamic|integer|1-31536000
join_buffer_size|262144|dynamic|integer|128-18446744073709547520
local_infile|1|dynamic|boolean|0,1
lock_wait_timeout|86400|dynamic|integer|1-31536000
log_bin_trust_function_creators|0|dynamic|boolean|0,1
log_output|TABLE|dynamic|string|TABLE,FILE,NONE
log_queries_not_using_indexes|0|dynamic|boolean|0,1
long_query_time|10|dynamic|float|0-31536000
lower_case_table_names|0|static|integer|0-1
max_allowed_packet|67108864|dynamic|integer|1024-1073741824
max_binlog_size|134217728|dynamic|integer|4096-134217728
max_connect_errors|100|dynamic|integer|1-9223372036854775807
max_connections|{DBInstanceClassMemory/12582880}|dynamic|integer|1-100000
max_heap_table_size|16777216|dynamic|integer|16384-1844674407370954752
max_prepared_stmt_count|16382|dynamic|integer|0-1048576
max_user_connections|0|dynamic|integer|0-4294967295
net_read_timeout|30|dynamic|integer|1-31536000
net_write_timeout|60|dynamic|integer|1-31536000
optimizer_switch||dynamic|string|
performance_schema|{DBInstanceClassMemory}|static|boolean|0,1
read_buffer_size|131072|dynamic|integer|8192-2147479552
read_only|{TrueIfReplica}|dynamic|string|0,1,{TrueIfReplica}
read_rnd_buffer_size|524288|dynamic|integer|1-2147483647
relay_log_recovery|1|static|boolean|0,1
replica_parallel_workers||dynamic|integer|0-1024
replica_parallel_type||dynamic|string|DATABASE,LOGICAL_CLOCK
replica_preserve_commit_order|1|dynamic|boolean|0,1
replicate-do-db||dynamic|string|
replicate-do-table||dynamic|string|
replicate-ignore-db||dynamic|string|
replicate-ignore-table||dynamic|string|
replicate-wild-do-table||dynamic|string|
replicate-wild-ignore-table||dynamic|string|
require_secure_transport|0|dynamic|boolean|0,1
server_audit_logging||dynamic|boolean|0,1
skip_name_resolve|0|static|boolean|0,1
slave_parallel_workers||dynamic|integer|0-1024
slave_parallel_type||dynamic|string|DATABASE,LOGICAL_CLOCK
slave_parallel_mode||dynamic|string|optimistic,conservative,aggressive,minimal,none
slave_preserve_commit_order||dynamic|boolean|0,1
slow_query_log|0|dynamic|boolean|0,1
sort_buffer_size|262144|dynamic|integer|32768-18446744073709551615
sql_mode||dynamic|string|
sync_binlog|1|dynamic|integer|0-4294967295
table_definition_cache||dynamic|integer|400-524288
table_open_cache||dynamic|integer|1-524288
thread_cache_size||dynamic|integer|0-16384
time_zone|UTC|dynamic|string|
tls_version||static|string|TLSv1.2,TLSv1.3
tmp_table_size|16777216|dynamic|integer|1024-18446744073709551615
transaction_isolation|REPEATABLE-READ|dynamic|string|READ-UNCOMMITTED,READ-COMMITTED,REPEATABLE-READ,SERIALIZABLE
tx_isolation|REPEATABLE-READ|dynamic|string|READ-UNCOMMITTED,READ-COMMITTED,REPEATABLE-READ,SERIALIZABLE
wait_timeout|28800|dynamic|integer|1-31536000
"""

_POSTGRES = """
archive_timeout|300|dynamic|integer|0-2147483647
autovacuum|1|dynamic|boolean|0,1
autovacuum_max_workers|GREATEST({DBInstanceClassMemory/64371566592},3)|static|integer|1-262143
autovacuum_naptime|15|dynamic|integer|1-2147483
checkpoint_timeout|300|dynamic|integer|30-3600
client_encoding||dynamic|string|
cron.database_name||static|string|
cron.use_background_workers||static|boolean|0,1
default_statistics_target|100|dynamic|integer|1-10000
effective_cache_size|{DBInstanceClassMemory/16384}|dynamic|integer|1-2147483647
huge_pages|on|static|string|on,off,try
idle_in_transaction_session_timeout|86400000|dynamic|integer|0-2147483647
log_connections|0|dynamic|boolean|0,1
log_disconnections|0|dynamic|boolean|0,1
log_lock_waits|0|dynamic|boolean|0,1
log_min_duration_statement|-1|dynamic|integer|-1-2147483647
log_min_messages|warning|dynamic|string|debug5,debug1,info,notice,warning,error,log,fatal,panic
log_statement|none|dynamic|string|none,ddl,mod,all
maintenance_work_mem|GREATEST({DBInstanceClassMemory*1024/63963136},65536)|dynamic|integer|1024-2147483647
max_connections|LEAST({DBInstanceClassMemory/9531392},5000)|static|integer|6-8388607
max_locks_per_transaction|64|static|integer|10-2147483647
max_logical_replication_workers|4|static|integer|0-262143
max_parallel_workers|GREATEST($DBInstanceVCPU/2,8)|dynamic|integer|0-1024
max_prepared_transactions|0|static|integer|0-262143
max_replication_slots|20|static|integer|5-8388607
max_slot_wal_keep_size|-1|dynamic|integer|-1-2147483647
max_wal_senders|20|static|integer|5-8388607
max_wal_size|2048|dynamic|integer|128-201326592
max_worker_processes|GREATEST($DBInstanceVCPU*2,8)|static|integer|1-262143
pg_stat_statements.track|top|dynamic|string|none,top,all
random_page_cost|4|dynamic|float|0-1.79769e+308
rds.custom_dns_resolution|0|static|boolean|0,1
rds.force_ssl|1|dynamic|boolean|0,1
rds.log_retention_period|4320|dynamic|integer|1440-10080
rds.logical_replication|0|static|boolean|0,1
rds.restrict_password_commands|0|static|boolean|0,1
session_preload_libraries||static|string|
shared_buffers|{DBInstanceClassMemory/32768}|static|integer|16-1073741823
shared_preload_libraries|pg_stat_statements|static|string|
ssl|1|dynamic|boolean|0,1
statement_timeout|0|dynamic|integer|0-2147483647
synchronous_commit|on|dynamic|string|local,on,off,remote_apply
temp_buffers||dynamic|integer|100-1073741823
timezone|UTC|dynamic|string|
track_activity_query_size|4096|static|integer|100-1048576
track_io_timing|1|dynamic|boolean|0,1
wal_buffers||static|integer|-1-262143
wal_keep_size|2048|dynamic|integer|0-2147483647
wal_receiver_timeout|30000|dynamic|integer|0-3600000
wal_sender_timeout|30000|dynamic|integer|0-3600000
work_mem||dynamic|integer|64-2147483647
"""

_OTHER_ENGINES = """
cursor_sharing||dynamic|string|EXACT,FORCE
open_cursors|300|dynamic|integer|0-65535
processes||static|integer|80-20000
max degree of parallelism|0|dynamic|integer|0-32767
contained database authentication|0|dynamic|boolean|0,1
rds.force_ssl|0|static|boolean|0,1
"""


@dataclasses.dataclass(frozen=True)
class ParameterFacts:
    name: str
    default: str
    apply_type: str
    data_type: str
    allowed: str


def _table(text: str) -> dict:
    rows = (line.split("|") for line in text.strip().splitlines())
    return {row[0]: ParameterFacts(*row) for row in rows}


_PARAMETERS = {"mysql": _table(_MYSQL), "mariadb": _table(_MYSQL), "postgres": _table(_POSTGRES), "": _table(_OTHER_ENGINES)}


def parameters(group_family: str) -> dict:
    """The parameters of a family, by name."""
    for prefix in ("aurora-mysql", "mysql"):
        if group_family.startswith(prefix):
            return _PARAMETERS["mysql"]
    for engine in ("mariadb", "postgres"):
        if group_family.startswith(engine) or group_family.startswith("aurora-" + engine):
            return _PARAMETERS[engine]
    return _PARAMETERS[""]


def allows(parameter: ParameterFacts, text: str) -> bool:
    """Whether a value is allowed; lists and formulas are not looked into."""
    if not parameter.allowed or "{" in text or "(" in text or "$" in text:
        return True
    if parameter.data_type in ("integer", "float"):
        found = re.fullmatch(r"(-?[\d.]+)-([\d.e+]+)", parameter.allowed)
        try:
            return not found or float(found[1]) <= float(text) <= float(found[2])
        except ValueError:
            return False
    if parameter.data_type == "boolean":
        return text in ("0", "1", "on", "off", "ON", "OFF", "true", "false")
    return all(part.strip().lower() in parameter.allowed.lower().split(",") for part in text.split(","))


FAMILY_ENGINES = re.compile(r"^(mysql|mariadb|postgres|oracle-[a-z0-9]+(?:-cdb)?|sqlserver-[a-z]+|db2-[a-z]+|aurora-mysql|aurora-postgresql)-?\d")
