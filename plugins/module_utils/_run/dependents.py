# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Handlers of the steps that bind proxies and event subscriptions again.

They are about things that have no ``DbiResourceId``: each reads the one thing that it changes.
"""

from __future__ import annotations

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import TerminalStateError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import TAG_NAME, tags_of
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.handlers import Handler
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.wait import Outlook


class _Own(Handler):
    """A step whose effect is read where it is."""

    def __init__(self, *args):
        super().__init__(*args)
        self.resource_id = None

    def status(self):
        return None

    def happened(self):
        return self.outlook([]).done


class _Proxy(_Own):
    def _target(self) -> dict | None:
        wanted = self.step.parameters["name"].lower()
        targets = self.rds.proxy_targets(self.step.resource)
        return next((target for target in targets if (target.get("RdsResourceId") or "").lower() == wanted), None)

    def call(self):
        self.rds.call(self.step.action, DBProxyName=self.step.resource, DBInstanceIdentifiers=[self.step.parameters["name"]])


class Deregistration(_Proxy):
    """DeregisterDBProxyTargets; done once the target is not listed any more."""

    def outlook(self, instances):
        target = self._target()
        return Outlook(target is None, "" if target is None else "still registered")


class Registration(_Proxy):
    """RegisterDBProxyTargets; done once the proxy reaches the instance that has the name."""

    def happened(self):
        return self._target() is not None

    def outlook(self, instances):
        target = self._target()
        if target is None:
            return Outlook(False, "not registered yet")
        health = target.get("TargetHealth") or {}
        if health.get("Reason") == "AUTH_FAILURE":
            raise TerminalStateError(
                f"{self.step.what}: RDS Proxy {self.step.resource} cannot log in (AUTH_FAILURE).",
                done="The name is registered.",
                next_step="Give the proxy a secret with a user and a password that the encrypted instance knows (aws rds modify-db-proxy --auth).",
            )
        if self.step.confirmed is None or self.step.confirmed(target):
            return Outlook(True, "")
        return Outlook(False, " ".join(filter(None, [health.get("State", "registered").lower(), health.get("Reason")])))


class ProxyNote(_Own):
    """A tag on a proxy that says for which name it is, there while its target is taken away and registered again."""

    def call(self):
        arn = self.step.parameters["DBProxyArn"]
        if self.step.action == "MarkProxy":
            self.rds.call("AddTagsToResource", ResourceName=arn, Tags=[{"Key": TAG_NAME, "Value": self.step.parameters["name"]}])
        else:
            self.rds.call("RemoveTagsFromResource", ResourceName=arn, TagKeys=[TAG_NAME])

    def outlook(self, instances):
        there = tags_of({"TagList": self.rds.proxy_tags(self.step.parameters["DBProxyArn"])}).get(TAG_NAME)
        return Outlook(there == (self.step.parameters["name"] if self.step.action == "MarkProxy" else None), "")


class SubscriptionSource(_Own):
    """AddSourceIdentifierToSubscription."""

    def call(self):
        self.rds.call(self.step.action, SubscriptionName=self.step.resource, SourceIdentifier=self.step.parameters["name"])

    def outlook(self, instances):
        listed = self.rds.subscription(self.step.resource).get("SourceIdsList") or []
        return Outlook(self.step.parameters["name"] in [identifier.lower() for identifier in listed], "")


HANDLERS = {
    "AddSourceIdentifierToSubscription": SubscriptionSource,
    "DeregisterDBProxyTargets": Deregistration,
    "MarkProxy": ProxyNote,
    "RegisterDBProxyTargets": Registration,
    "UnmarkProxy": ProxyNote,
}
