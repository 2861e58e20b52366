# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the account holds. Identity is the resource id; names, links and addresses are computed from it."""

from __future__ import annotations

import collections
import copy
import datetime
import secrets
import string


def new_resource_id(prefix: str = "db-") -> str:
    """A random resource id: 26 upper-case letters and digits."""
    return prefix + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _unused in range(26))


class Record:
    """Something that is described, with the history that late reads are answered from."""

    kind = ""

    def __init__(self, region: str, name: str, facts: dict, tags: dict | None = None):
        self.region = region
        self.name = name
        self.facts = facts                      # members of the shape, as they are now
        self.tags = dict(tags or {})
        self.history: list = []                 # (virtual time, view or None when it does not answer)
        self.hidden_reads = 0                   # so many reads still answer NotFound
        self.hidden_reads_later = 0             # the same, once a rename is done
        self.busy = ""                          # the change in progress
        self.gone = False

    def publish(self, now: float, view: dict | None) -> None:
        """What a read answers from `now` plus the lag on."""
        self.history.append((now, copy.deepcopy(view)))
        if len(self.history) > 40:
            del self.history[:-40]

    def seen(self, moment: float, stale: bool = False) -> dict | None:
        """The view as it was at `moment`; with `stale` the one before that."""
        index = None
        for position, (since, _view) in enumerate(self.history):
            if since <= moment:
                index = position
        if stale and index is not None:
            index = index - 1 if index else None
        return None if index is None else self.history[index][1]


class Instance(Record):
    kind = "db"

    def __init__(self, region: str, name: str, facts: dict, tags: dict | None = None, resource_id: str | None = None):
        super().__init__(region, name, facts, tags)
        self.resource_id = resource_id or new_resource_id()
        self.status = "creating"
        self.hidden = False                     # in the gap of a rename
        self.reserved = ""                      # the name it is being renamed to
        self.dns_name = ""
        self.port = 0
        self.addressed = False                  # the endpoint is shown
        self.parameter_group = ""
        self.parameter_status = "in-sync"
        self.in_force: dict = {}                # parameter values the server runs with
        self.option_group = ""
        self.option_status = "in-sync"
        self.subnet_group = ""
        self.security_groups: list = []
        self.security_status = "active"
        self.groups_before: list = []   # in force while security_status is not active
        self.source_id = ""                     # resource id of the source of this replica
        self.source_arn = ""                    # a source this lab does not hold
        self.replication = {"status": "replicating", "message": ""}
        self.foreign_replicas: list = []        # ARNs of replicas this lab does not hold
        self.roles: list = []
        self.pending: dict = {}                 # ModifyDBInstance parameters that wait
        self.pending_shown: dict = {}           # PendingModifiedValues
        self.password = ""
        self.secret_arn = ""
        self.secret: dict | None = None         # MasterUserSecret
        self.first_backup: datetime.datetime | None = None
        self.storage_changed = float("-inf")
        self.optimizing_until = 0.0
        self.settling_until = 0.0               # "RDS is configuring ..."
        self.stopped_since = 0.0
        self.key_lost_since = 0.0
        self.supported = False                  # a real server stands behind it
        self.swap_zone_at = 0.0
        self.free_storage: float | None = None  # in bytes, where a test has set it

    @property
    def engine(self) -> str:
        return self.facts["Engine"]


class Snapshot(Record):
    kind = "snapshot"

    def __init__(self, region: str, name: str, facts: dict, tags: dict | None = None):
        super().__init__(region, name, facts, tags)
        self.key = "snap-" + secrets.token_hex(8)
        self.status = "creating"
        self.began = 0.0
        self.duration = 0.0
        self.held: dict = {}                    # what the instance was, for the restore
        self.password = ""
        self.supported = False
        self.readers = 0                        # copies and restores that read from it


class Region:
    """The resources of one region."""

    def __init__(self, name: str):
        self.name = name
        self.instances: dict = {}               # resource id -> Instance
        self.snapshots: dict = {}               # name -> Snapshot
        self.clusters: dict = {}                # name -> facts of DBCluster
        self.parameter_groups: dict = {}
        self.option_groups: dict = {}
        self.subnet_groups: dict = {}
        self.subscriptions: dict = {}
        self.proxies: dict = {}
        self.integrations: dict = {}
        self.exports: dict = {}
        self.backup_selections: dict = {}
        self.automated_backups: dict = {}       # resource id -> facts
        self.maintenance: dict = collections.defaultdict(list)  # resource id -> actions
        self.events: list = []
        self.departed: list = []                # deleted records that late reads still show
        self.released: dict = {}                # name given up -> virtual time when it is free


class Store:
    """All regions; the plane's lock guards it."""

    def __init__(self):
        self.regions: dict = {}
        self.retired: dict = {}                 # (engine, version) -> version RDS raises it to
        self.problems: list = []                # what failed inside a transition

    def region(self, name: str) -> Region:
        if name not in self.regions:
            self.regions[name] = Region(name)
        return self.regions[name]

    def instance(self, resource_id: str) -> Instance | None:
        for region in self.regions.values():
            if resource_id in region.instances:
                return region.instances[resource_id]
        return None

    def instances(self) -> list:
        return [instance for region in self.regions.values() for instance in region.instances.values()]

    def replicas(self, instance: Instance) -> list:
        """The living replicas of an instance, in every region."""
        return [other for other in self.instances() if other.source_id == instance.resource_id and not other.gone]
