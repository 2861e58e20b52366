# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long things take, how late a read is, and how much an account may have. All times in virtual seconds."""

from __future__ import annotations

import dataclasses


_CHOICES = {"restored_copies_replicate": ("none", "configured", "running")}


@dataclasses.dataclass
class Settings:
    account: str = "123456789012"
    account_hash: str = "c4lab0double"
    default_region: str = "us-east-1"
    dns_suffix: str = "rds.lab.internal"
    hosted_zone: str = "Z2R2ITUGPM61AM"

    # Reads
    consistency: float = 5.0            # a describe shows the state of so long ago
    accept: float = 5.0                 # an accepted change starts so much later; until then the status stays `available`

    # Durations
    create: float = 600.0
    snapshot: float = 60.0
    snapshot_per_gib: float = 0.5
    copy: float = 600.0
    copy_per_gib: float = 3.0
    restore: float = 1200.0
    restore_per_gib: float = 0.0
    baseline_backup: float = 600.0
    backup: float = 120.0               # any later backup
    modify: float = 60.0
    modify_settings: float = 10.0       # changes that touch no resource (protection, windows, ...)
    upgrade: float = 600.0
    reboot: float = 40.0
    failover: float = 60.0
    rename: float = 90.0
    rename_gap: float = 15.0            # neither name answers
    rename_gap_hides_resource_id: bool = True   # nor does a read by dbi-resource-id, nor a listing
    dns_delay: float = 0.0              # so long after a rename the new name leads nowhere
    name_release: float = 5.0           # a name given up is refused to others for so long
    replica: float = 1300.0
    promote: float = 180.0
    delete: float = 180.0
    stop: float = 180.0
    start: float = 240.0
    automatic_restart: float = 7 * 86400.0
    parameters_apply: float = 20.0
    monitoring_settle: float = 30.0     # "RDS is configuring Enhanced Monitoring or Performance Insights"
    security_groups_apply: float = 15.0
    domain_join: float = 300.0
    role_activation: float = 20.0
    secret_creation: float = 30.0
    password_reset: float = 30.0
    log_exports: float = 30.0
    export: float = 1800.0              # of a snapshot to S3
    proxy: float = 120.0
    proxy_registration: float = 60.0
    iam_authentication: float = 60.0
    storage_optimization: float = 600.0
    storage_cooldown: float = 6 * 3600.0
    failover_describe_lag: float = 120.0    # AvailabilityZone is shown late after a failover
    iam_propagation: float = 30.0       # a role made less than so long ago is not yet usable
    kms_grace: float = 7 * 86400.0      # from recoverable to terminal
    binary_log_rotation: float = 300.0  # how often MySQL and MariaDB begin a new binary log, and RDS removes old ones; 0: never
    kms_watch: float = 30.0             # how soon RDS notices that a key was disabled

    # Variants of what AWS does not document
    kms_copy_fails_later: bool = False  # a bad key ends the copy as `failed` instead of refusing it
    snapshot_name_follows_rename: bool = False
    replica_storage_type_inherited: bool = False
    # What becomes of a proxy's target when its instance is renamed: lost until it is registered again (bound), resolved by the name
    # (name), or shown under the new name of its instance (identity).
    proxy_target: str = "bound"
    subscription_follows_rename: bool = False
    # The restored copy of a replica (MySQL, MariaDB) carries the replica's settings, as files do; whether RDS clears them is not documented:
    # none (cleared), configured (kept, nothing is started), running (kept, and the copy replicates by itself).
    restored_copies_replicate: str = "configured"

    enforce_security_groups: bool = False   # endpoints let in whom the rules of an instance's security groups admit, and nobody else

    # Quotas of an account in a region
    instances: int = 40
    allocated_storage: int = 100000
    manual_snapshots: int = 100
    replicas_per_source: int = 15
    parameter_groups: int = 50
    option_groups: int = 20
    subnet_groups: int = 50
    roles_per_instance: int = 5
    copies_in_progress: int = 20

    def update(self, values: dict) -> None:
        """Take over named values; an unknown name is refused."""
        known = {field.name: field for field in dataclasses.fields(self)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"unknown setting {name}")
            if value not in _CHOICES.get(name, (value,)):
                raise ValueError(f"{name} is one of {', '.join(_CHOICES[name])}")
            setattr(self, name, type(getattr(self, name))(value))
