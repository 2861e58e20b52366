#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let the encrypted copy of a MySQL or MariaDB instance follow the running original."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_replication_link
short_description: Let the encrypted copy of a MySQL or MariaDB instance follow the running original
version_added: 1.1.0
description:
  - The database's part of a migration during which applications go on writing. Each state reads the servers first, does what is missing, and may be
    asked for again at any time, from any controller; the servers are believed, no file.
  - Only procedures of RDS (C(mysql.rds_*)) and plain SQL of the master user are used. Names of procedures, statements and columns follow the version -
    MySQL 5.7, 8.0, 8.4 and 9, MariaDB from 10.4.
  - An error that replication does not get over ends every wait at once, in words. No error is ever skipped.
  - Why not M(community.mysql.mysql_replication) - the master user of RDS may not send C(CHANGE REPLICATION SOURCE).
author:
  - The dbre.rds_encryption contributors (@dbre)
options:
  state:
    description:
      - V(examined) reads O(source) and answers what stands in the way. Nothing is changed.
      - V(seeded) raises the binlog retention of O(source) to O(binlog_retention_hours), stops replication of O(seed) at a moment without open temporary
        tables, and answers RV(coordinates), the place up to which it has applied. With O(coordinates) it fails if the replica has moved since.
      - V(linked) makes O(target) follow O(source) and waits until it has caught up. Where the target begins is decided by its own state - at
        O(coordinates) if it never followed anybody, otherwise where it stands, also when the source has another address by now. The login
        C(rdsenc_LINK_ID) is made, or gets a new password, right before. A target that accepts writes or runs events is refused.
      - V(compared) compares the rows of O(target) with those of O(source) while it follows and applications write, piece by piece, at equal places in
        the source's binary log. Pieces that are being written to are looked at again, and named if they do not come to rest. Only reads, on the
        source for at most half of the time.
      - V(drained) proves that O(target), and O(replicas), hold everything that O(source) holds. The caller has fenced the source before. First
        O(target) is made to follow the source under its present address, as by V(linked). Then a marker row is written on the source and awaited,
        then the end of the source's binary log, which does not move any more.
      - V(absent) stops and takes off the link, and drops its login and marker on both sides. What cannot be done on a target that is still read only
        is named in RV(left), and done by the next call.
    type: str
    required: true
    choices: [examined, seeded, linked, compared, drained, absent]
  link_id:
    description:
      - An opaque id of this attempt, 1 to 16 lower-case letters and digits. Needed but for O(state=examined).
      - The login of the link and the schema of the marker are called C(rdsenc_LINK_ID).
    type: str
  coordinates:
    description:
      - The end of what the copy holds, in the source's binary log, as O(state=seeded) answered it.
    type: dict
    suboptions:
      file:
        description: Name of the binary log file.
        type: str
        required: true
      position:
        description: Position in that file.
        type: int
        required: true
      gtid:
        description: What was executed up to there (MySQL with C(gtid_mode=ON)), or the GTID position (MariaDB). Without it GTIDs are not used.
        type: str
  source_host:
    description:
      - How O(target) reaches O(source). The host that the module connects to by default.
    type: str
  source_port:
    description:
      - Port for O(source_host). The port that the module connects to by default.
    type: int
  drained_once:
    description:
      - For O(state=linked), whether the link was taken off this target before. A target that follows nobody is then void, and refused.
    type: bool
    default: false
  accept_non_transactional:
    description:
      - For O(state=examined), whether tables of engines other than InnoDB are a warning instead of a blocker.
    type: bool
    default: false
  binlog_retention_hours:
    description:
      - For O(state=seeded), the least retention of binary logs on O(source), in hours. A higher one is left as it is.
    type: int
  restore_binlog_retention:
    description:
      - For O(state=absent), the retention that O(source) and O(target) shall have, V(NULL) or a number of hours.
    type: str
  max_lag:
    description:
      - For O(state=linked), how many seconds later at the latest the target must have applied what the source had at a moment, to have caught up.
      - C(Seconds_Behind_Source) is never asked. It is 0, too, while the network stands still.
    type: int
    default: 10
  time_budget:
    description:
      - For O(state=compared), how many seconds to compare for. What is not compared by then is named.
    type: int
    default: 300
  drain_timeout:
    description:
      - For O(state=drained), the longest time for all of it, in seconds, also while O(target) does not answer.
    type: int
    default: 300
attributes:
  check_mode:
    description: Executes no statement that writes. The proof of O(state=drained) needs one, so RV(drained) is null.
    support: full
  diff_mode:
    description: There is no state to show a difference of.
    support: none
  idempotent:
    description: A second run changes nothing. O(state=drained) writes and drops its marker each time, which is not counted as a change.
    support: full
extends_documentation_fragment:
  - dbre.rds_encryption.mysql_connection.link
  - dbre.rds_encryption._wait
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Is there anything in the way?
  dbre.rds_encryption.mysql_replication_link:
    state: examined
    source:
      db_instance_identifier: prod-one
  register: examined

- name: Stop the seed replica and note where
  dbre.rds_encryption.mysql_replication_link:
    state: seeded
    link_id: f3b1c0ffee12
    source:
      db_instance_identifier: prod-one
    seed:
      db_instance_identifier: new-prod-one-seed
      login_db_instance_identifier: prod-one
    binlog_retention_hours: 72
  register: seeded

- name: Follow the source, and catch up
  dbre.rds_encryption.mysql_replication_link:
    state: linked
    link_id: f3b1c0ffee12
    source:
      db_instance_identifier: prod-one
    target:
      db_instance_identifier: new-prod-one
      login_db_instance_identifier: prod-one
    coordinates: "{{ seeded.coordinates }}"

- name: Compare the rows while applications write
  dbre.rds_encryption.mysql_replication_link:
    state: compared
    link_id: f3b1c0ffee12
    source:
      db_instance_identifier: prod-one
    target:
      db_instance_identifier: new-prod-one
      login_db_instance_identifier: prod-one
    time_budget: 1800

- name: Prove that nothing is missing, behind the fence
  dbre.rds_encryption.mysql_replication_link:
    state: drained
    link_id: f3b1c0ffee12
    source:
      db_instance_identifier: old-prod-one
    target:
      db_instance_identifier: new-prod-one
      login_db_instance_identifier: old-prod-one
    drain_timeout: 120

- name: Take the link off
  dbre.rds_encryption.mysql_replication_link:
    state: absent
    link_id: f3b1c0ffee12
    source:
      db_instance_identifier: old-prod-one
    target:
      db_instance_identifier: new-prod-one
      login_db_instance_identifier: old-prod-one
    restore_binlog_retention: "NULL"
"""

RETURN = r"""
blockers:
  description: Why the source cannot be migrated this way.
  returned: with state examined
  type: list
  elements: dict
  sample: [{"reason": "log_bin is OFF: there is nothing to follow.", "next_step": "set BackupRetentionPeriod to at least 1."}]
warnings:
  description: What a cautious person should know. With O(state=examined) they are data and not shown by Ansible.
  returned: with state examined
  type: list
  elements: str
facts:
  description: What was read - engine, version, binary log, GTIDs, retention (V(NULL) or hours), events, tables that need care, log readers, TLS.
  returned: with state examined
  type: dict
server:
  description: Family and version of the source, the account of the login, and what protects the connection.
  returned: with state examined
  type: dict
coordinates:
  description: The place up to which the seed replica has applied the source's binary log. Null in check mode when it still runs.
  returned: with state seeded
  type: dict
  sample: {"file": "mysql-bin-changelog.000042", "position": 3110315, "gtid": "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-23"}
stopped_at:
  description:
    - The time of the replica's clock (UTC) when it was seen to stand still. A snapshot begun before it is void. Null when O(coordinates) were given.
  returned: with state seeded
  type: str
  sample: "2026-11-22T03:27:46Z"
binlog_retention_before:
  description: The source's retention as it was found, V(NULL) or a number of hours.
  returned: with state seeded
  type: str
binlog_retention_hours:
  description: The source's retention as it is now.
  returned: with state seeded
  type: str
binlog_retention_raised:
  description: Whether it was raised, or in check mode would be.
  returned: with state seeded
  type: bool
action:
  description: What was done to the target, V(nothing), V(start) or V(set).
  returned: with state linked
  type: str
reason:
  description: Why, in words.
  returned: with state linked
  type: str
mode:
  description: How the target asks for the source's log, V(gtid) or V(coordinates).
  returned: with states linked and drained
  type: str
caught_up:
  description: Whether the target has caught up. In check mode V(false).
  returned: with state linked
  type: bool
lag_seconds:
  description: Seconds between reading a place on the source and seeing it applied on the target.
  returned: with state linked
  type: float
measures:
  description: What took how long, for the report of a run.
  returned: with states linked and drained
  type: list
  elements: dict
  sample: [{"resource": "new-prod-one", "measure": "lag", "value": 0.4, "unit": "s", "text": "until it had what its source had at one moment"}]
bytes_behind:
  description: Bytes of the source's log that were not applied at the last look; null if the login may not see the sizes of its files.
  returned: with state linked
  type: int
source_position:
  description: The end of the source's log that was awaited.
  returned: with states linked and drained
  type: dict
position:
  description: The place up to which the target has applied it.
  returned: with states linked and drained
  type: dict
own_transactions:
  description: Transactions that began on the target itself (MySQL with GTIDs). The platform's own, as nobody else could write to it.
  returned: with state linked
  type: str
source_host:
  description: How the target reaches the source.
  returned: with state linked
  type: str
source_port:
  description: The port of it.
  returned: with state linked
  type: int
user:
  description: The login of the link.
  returned: with state linked
  type: str
tables:
  description:
    - One row per table that both servers have, with the number of its pieces that are equal, differ, or are being written to. C(verdict) is
      V(equal), V(differs), V(being written to) or V(not checked).
  returned: with state compared
  type: list
  elements: dict
  sample: [{"schema": "shop", "table": "orders", "bytes": 16384, "compared_rows": 7, "chunks": 1, "equal_chunks": 1, "different_chunks": 0,
            "moving_chunks": 0, "verdict": "equal"}]
summary:
  description: Numbers of tables by verdict.
  returned: with state compared
  type: dict
  sample: {"tables": 3, "equal": 2, "being written to": 1}
drained:
  description:
    - Whether target and replicas hold everything that the source holds. V(false) comes with a failure, then also C(drain_timed_out) if it was for lack of
      time; null in check mode.
  returned: with state drained
  type: bool
gtid_missing:
  description: GTIDs that the target does not know, although it applied everything by position; what its copy had lost of the set (MySQL).
  returned: with state drained
  type: str
replicas:
  description: The replicas that were proven, too.
  returned: with state drained
  type: list
  elements: str
duration_seconds:
  description: How long the proof took.
  returned: with state drained
  type: float
plan:
  description: The statements that were carried out, or in check mode would be.
  returned: with state absent
  type: list
  elements: dict
  sample: [{"on": "target new-prod-one", "statement": "CALL mysql.rds_reset_external_source"}]
left:
  description: What could not be done, with the statement and the reason.
  returned: with state absent
  type: list
  elements: dict
source_reached:
  description: Whether the source could be reached.
  returned: with state absent
  type: bool
events_to_enable:
  description:
    - Events that are enabled on the source and disabled on the target, because they reached it by replication. C(enabled) says whether that was cured, which
      is only done where the event keeps its definer; C(statement) is for whoever may do it otherwise.
  returned: with state absent
  type: list
  elements: dict
  sample: [{"event": "shop.nightly", "definer": "app@%", "statement": "ALTER DEFINER = `app`@`%` EVENT `shop`.`nightly` ENABLE", "enabled": true, "reason": ""}]
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import WAIT_SPEC
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_replication_link import run
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import CONNECTION_OPTIONS, connection_option

ARGUMENT_SPEC = dict(
    state=dict(type="str", required=True, choices=["examined", "seeded", "linked", "compared", "drained", "absent"]),
    source=connection_option(required=True),
    seed=connection_option(),
    target=connection_option(),
    replicas=dict(type="list", elements="dict", default=[], options=dict(CONNECTION_OPTIONS)),
    link_id=dict(type="str"),
    coordinates=dict(
        type="dict", options=dict(file=dict(type="str", required=True), position=dict(type="int", required=True), gtid=dict(type="str"))
    ),
    source_host=dict(type="str"),
    source_port=dict(type="int"),
    drained_once=dict(type="bool", default=False),
    accept_non_transactional=dict(type="bool", default=False),
    binlog_retention_hours=dict(type="int"),
    restore_binlog_retention=dict(type="str"),
    max_lag=dict(type="int", default=10),
    time_budget=dict(type="int", default=300),
    drain_timeout=dict(type="int", default=300),
    **WAIT_SPEC,
)


def main() -> None:
    """Run as a module."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
