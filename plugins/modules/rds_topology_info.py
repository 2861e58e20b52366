#!/usr/bin/python
# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_topology_info
version_added: 1.0.0
short_description: Where the encryption of an RDS topology stands, what is left to do, and what blocks it
description:
  - Finds a source, its replicas and their encrypted replacements by identifiers, replication links, tags and resource ids, at any point of
    a run, and decides whether it can be encrypted. Changes nothing.
  - The steps come from the very planners that the other modules use.
options:
  name:
    description:
      - The identifier that applications use; C(old-NAME) and C(new-NAME) of an interrupted run mean the same.
      - A read replica is answered with action V(none), since it moves with its source.
    type: str
    required: true
  kms_key_id:
    description:
      - The key (id, ARN or alias) to encrypt with. Without it the answer is blocked, if O(preflight=true).
    type: str
  strategy:
    description:
      - How to encrypt; V(cold) is snapshot, encrypted copy and restore behind a fence.
    type: str
    default: cold
  database_access:
    description:
      - Whether databases can be reached by SQL from where the playbook runs.
    type: bool
    default: true
  accept_pending_maintenance:
    description:
      - Go on although maintenance, or a restart for a parameter group, is pending on an instance of the topology.
    type: bool
    default: false
  accepted_differences:
    description:
      - Members of the C(DBInstance) shape whose difference between source and target the operator accepts. Without it, what cannot be
        carried blocks the run before it starts.
    type: list
    elements: str
    default: []
  quarantine_security_group_id:
    description:
      - The security group that the fence will put in the place of all others of the source and its replicas.
    type: str
  seed_snapshot_max_age:
    description:
      - Seconds after which a snapshot of the source is too old to make the one behind the fence short, so that the plan holds another. Without
        it no snapshot is planned before the fence.
    type: int
  fleet:
    description:
      - The names of all hosts of the run, so that quotas are held against what they need together, and two names of one topology are seen.
    type: list
    elements: str
    default: []
  later:
    description:
      - Values that later phases of the run will use. They are only checked, for their types and bounds, so that an outage does not begin with
        one that cannot be used.
    type: dict
    suboptions:
      check_connections:
        description:
          - Whether connections to a fenced source are looked at.
        type: bool
      kill_connections:
        description:
          - Whether they are killed.
        type: bool
      ignore_users:
        description:
          - Users whose connections do not count.
        type: list
        elements: str
      settle_time:
        description:
          - Seconds that a fenced source must stay without connections.
        type: int
      connections_timeout:
        description:
          - Seconds after which connections are a failure.
        type: int
      exclude_users:
        description:
          - Accounts that are never touched.
        type: list
        elements: str
      configuration:
        description:
          - Settings that override those of the source.
        type: dict
      data_check:
        description:
          - Whether data are compared.
        type: bool
      data_check_budget:
        description:
          - Seconds for that.
        type: int
      fenced_data_check_budget:
        description:
          - Seconds for that behind the fence, where the target followed.
        type: int
      warm_up_budget:
        description:
          - Seconds for which the encrypted instances are read through before the cutover. Part of the estimate.
        type: int
      binlog_retention_hours:
        description:
          - Hours for which the source of a target that follows keeps binary logs.
        type: int
      min_free_storage:
        description:
          - Percent of its storage that must be free meanwhile.
        type: int
      max_lag:
        description:
          - Seconds by which the target may be late before the fence.
        type: int
      drain_timeout:
        description:
          - Seconds in which it must have everything behind the fence.
        type: int
      cutover_timeout:
        description:
          - Seconds in which the primary must have its name.
        type: int
      cutover_pause:
        description:
          - Whether somebody must say yes before the cutover.
        type: bool
      poll_interval:
        description:
          - The longest pause between two looks, in seconds.
        type: float
      wait_timeout:
        description:
          - The longest time for one wait, in seconds.
        type: int
      stall_timeout:
        description:
          - Seconds in which nothing may move.
        type: int
  describe:
    description:
      - Set to V(true) to have the descriptions of all instances of the topology in the answer, without the ARNs of secrets, as evidence of what
        they were like.
    type: bool
    default: false
  preflight:
    description:
      - Set to V(false) to only find the topology, without key, quotas, blockers and steps.
    type: bool
    default: true
attributes:
  check_mode:
    description: Can run in check mode and predict the changes without making any.
    support: full
  diff_mode:
    description: Changes nothing, so there is no difference to show.
    support: full
  idempotent:
    description: A second run makes no change.
    support: full
author:
  - The dbre.rds_encryption contributors (@dbre)
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
  - dbre.rds_encryption._backup_keys
  - dbre.rds_encryption._prefixes
"""

EXAMPLES = r"""
- name: Can prod-one be encrypted?
  dbre.rds_encryption.rds_topology_info:
    name: prod-one
    kms_key_id: alias/rds-prod
    region: eu-central-1
  register: found

- name: Show why not
  ansible.builtin.debug:
    var: found.topology.blockers
"""

RETURN = r"""
topology:
  description: The topology.
  returned: always
  type: dict
  contains:
    name:
      description: The identifier that applications use.
      type: str
      returned: always
    action:
      description: V(encrypt) when there is work to do or to finish, V(none) when there is nothing to do, V(blocked) when it must not be started.
      type: str
      returned: always
    reason:
      description: The action in words.
      type: str
      returned: always
    strategy:
      description: The strategy asked for.
      type: str
      returned: always
    strategy_role:
      description: The role that carries the strategy out.
      type: str
      returned: always
    engine:
      description: The RDS engine.
      type: str
      returned: always
    database_client:
      description: The client with which the databases are checked by SQL, V(mysql) or V(postgresql), or null where they are not.
      type: str
      returned: always
    fence_id:
      description: The id of the fence in force.
      type: str
      returned: always
    fenced:
      description: Whether the fence in force is complete.
      type: bool
      returned: always
    finished:
      description: Whether everything is done, up to the tags.
      type: bool
      returned: always
    members:
      description: The primary first, then replicas by level; both sides of each as far as they exist.
      type: list
      elements: dict
      returned: always
    estimate_minutes:
      description: The minutes of RV(topology.estimate) by part.
      type: dict
      returned: always
    estimate:
      description:
        - What is left, part by part, with C(part), C(phase), C(minutes), C(basis) (how the number is known - from the account's events of the last
          14 days, or assumed by size) and C(outage) (whether applications wait during it).
      type: list
      elements: dict
      returned: always
    times:
      description: When the topology was fenced, validated and cut over, as the tags of the source say it.
      type: dict
      returned: always
      sample: {"fenced_at": "2026-11-22T01:00:00Z", "validated_at": null, "cut_over_at": null}
    needs:
      description: What the topology will still take from the account, with C(instances), C(storage_gib) and C(snapshots).
      type: dict
      returned: always
    quotas:
      description: What all topologies of O(fleet) need of each quota, with C(quota), C(unit), C(needed), C(used) and C(max).
      type: list
      elements: dict
      returned: always
    caller:
      description: The ARN of the identity that asked, if it was read.
      type: str
      returned: always
    descriptions:
      description: With O(describe=true) both sides of each member, with C(name), C(side) (V(source) or V(target)) and C(description).
      type: list
      elements: dict
      returned: always
    blockers:
      description: Every reason why nothing may be started, with C(code), C(resource) and C(text).
      type: list
      elements: dict
      returned: always
    warnings:
      description: What the operator should know before starting.
      type: list
      elements: str
      returned: always
    steps:
      description: What is left to do, in order, with C(phase), C(action), C(resource) and C(what).
      type: list
      elements: dict
      returned: always
    kms_key_arn:
      description: The ARN of the key that was asked for.
      type: str
      returned: always
"""

from ansible_collections.dbre.rds_encryption.plugins.module_utils._entry import module_main
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.common import BACKUP_KEYS_SPEC, PREFIX_SPEC
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.topology_info import run

# What the phases after preflight read: checked here, before anything is changed.
LATER_SPEC = dict(
    check_connections=dict(type="bool"),
    kill_connections=dict(type="bool"),
    ignore_users=dict(type="list", elements="str"),
    settle_time=dict(type="int"),
    connections_timeout=dict(type="int"),
    exclude_users=dict(type="list", elements="str"),
    configuration=dict(type="dict"),
    data_check=dict(type="bool"),
    data_check_budget=dict(type="int"),
    fenced_data_check_budget=dict(type="int"),
    warm_up_budget=dict(type="int"),
    binlog_retention_hours=dict(type="int"),
    min_free_storage=dict(type="int"),
    max_lag=dict(type="int"),
    drain_timeout=dict(type="int"),
    cutover_timeout=dict(type="int"),
    cutover_pause=dict(type="bool"),
    poll_interval=dict(type="float"),
    wait_timeout=dict(type="int"),
    stall_timeout=dict(type="int"),
)

ARGUMENT_SPEC = dict(
    name=dict(type="str", required=True),
    kms_key_id=dict(type="str"),
    strategy=dict(type="str", default="cold"),
    database_access=dict(type="bool", default=True),
    accept_pending_maintenance=dict(type="bool", default=False),
    accepted_differences=dict(type="list", elements="str", default=[]),
    **BACKUP_KEYS_SPEC,
    quarantine_security_group_id=dict(type="str"),
    seed_snapshot_max_age=dict(type="int"),
    fleet=dict(type="list", elements="str", default=[]),
    later=dict(type="dict", options=LATER_SPEC),
    describe=dict(type="bool", default=False),
    preflight=dict(type="bool", default=True),
    **PREFIX_SPEC,
)


def main() -> None:
    """Serve the module on a host."""
    module_main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
