# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The jobs in the order in which the roles call them, against the in-memory RDS."""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs import cutover, fence, rehearsal, replica, restore, retire, rollback, topology_info

from fakes.region import FakeContext, Region
from fakes.shapes import KEY

WAITING = dict(poll_interval=20.0, wait_timeout=86400, stall_timeout=14400)
PREFIXES = dict(old_prefix="old-", new_prefix="new-")


class Way:
    """One call of the playbook for one host.

    :param check_mode: predict everything.
    """

    def __init__(self, region: Region, name: str, *, check_mode: bool = False, tags: dict | None = None):
        self.region = region
        self.name = name
        self.check_mode = check_mode
        self.tags = tags
        self.steps: list[dict] = []
        self.lines: list[str] = []
        self.changed = False
        self.foreseen: list[dict] = []
        self.backup_keys: dict[str, str] = {}

    def job(self, run, **params) -> dict:
        context = FakeContext(self.region, {"backup_replication_kms_keys": self.backup_keys, **params}, check_mode=self.check_mode)
        try:
            result = run(context)
        finally:
            self.lines += context.lines
        self.steps += result.get("plan", [])
        self.changed = self.changed or result["changed"]
        return result

    def info(self, preflight: bool = False, **more) -> dict:
        params = dict(
            name=self.name, kms_key_id=KEY, strategy="cold", database_access=True, accept_pending_maintenance=False, accepted_differences=[], fleet=[self.name]
        )
        return self.job(topology_info.run, preflight=preflight, **{**params, **PREFIXES, **more})["topology"]

    def everything(self) -> dict:
        """All phases; returns what the preflight said."""
        seen = self.preflight()
        if seen["action"] == "encrypt":
            if not seen["members"][0]["cut_over"]:
                self.fence()
                self.build()
            self.cutover()
        return seen

    def preflight(self) -> dict:
        seen = self.info(preflight=True)
        self.foreseen = [{key: step[key] for key in ("action", "resource", "what")} for step in seen["steps"]]
        if seen["action"] == "blocked":
            raise AssertionError(f"blocked: {seen['blockers']}")
        return seen

    def fence(self) -> dict:
        return self.job(fence.run, name=self.name, **PREFIXES, **WAITING)

    def build(self) -> None:
        topology = self.info()
        members = {member["name"]: member for member in topology["members"]}
        primary = topology["members"][0]
        replicas = topology["members"][1:]
        fence_id = topology["fence_id"] or ("predicted" if self.check_mode else None)
        expected = [] if self.check_mode else [member["target_identifier"] for member in replicas]
        first = self.restore(primary, fence_id=fence_id, expected_replicas=expected)
        if not self.check_mode:
            for member in replicas:
                if member["level"] == 1:
                    self.replica(member, members[member["parent"]], wait=False)
        for member in replicas:
            self.replica(member, members[member["parent"]])
        if first["remarks"]:
            self.restore(primary)

    def restore(self, primary: dict, **more) -> dict:
        params = dict(
            source_db_instance_identifier=primary["source_identifier"],
            target_db_instance_identifier=primary["target_identifier"],
            kms_key_id=KEY,
            fence_id=None,
            snapshot_identifier=None,
            encrypted_snapshot_identifier=None,
            expected_replicas=[],
            tags=self.tags,
            wait=True,
        )
        return self.job(restore.run, **{**params, **more}, **WAITING)

    def replica(self, member: dict, parent: dict, wait: bool = True) -> dict:
        return self.job(
            replica.run,
            source_db_instance_identifier=parent["target_identifier"],
            model_db_instance_identifier=member["source_identifier"],
            target_db_instance_identifier=member["target_identifier"],
            fence_id=None,
            tags=self.tags,
            wait=wait,
            **WAITING,
        )

    def cutover(self, **more) -> dict:
        params = dict(name=self.name, kms_key_id=KEY, accepted_differences=None, cutover_timeout=1800)
        return self.job(cutover.run, **{**params, **more}, **PREFIXES, **WAITING)

    def rehearse(self, **more) -> dict:
        params = dict(name=self.name, kms_key_id=KEY, rehearsal_prefix="rehearsal-", accepted_differences=None)
        return self.job(rehearsal.run, **{**params, **PREFIXES, **more}, **WAITING)

    def rollback(self, discard_writes: bool = False, **more) -> dict:
        params = dict(name=self.name, discard_writes=discard_writes, fleet=[self.name])
        return self.job(rollback.run, **{**params, **more}, **PREFIXES, **WAITING)

    def retire(self, action: str = "delete", confirm=(), **more) -> dict:
        params = dict(
            name=self.name, action=action, after_days=14, confirm=list(confirm), encrypt_final_snapshot=False, kms_key_id=KEY, fleet=[self.name]
        )
        return self.job(retire.run, **{**params, **more}, **PREFIXES, **WAITING)
