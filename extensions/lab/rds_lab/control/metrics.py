# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CloudWatch says of instances: FreeStorageSpace, one value a minute."""

from __future__ import annotations

import datetime
import time
import weakref

from moto.cloudwatch.models import MetricDatum
from moto.core.common_models import CloudWatchMetricProvider

_GIB = 1 << 30
_MINUTES = 180
_FREE = 0.6     # of the allocated storage, where nobody has said otherwise
_PLANES: weakref.WeakSet = weakref.WeakSet()


class Metrics:
    """The part of the control plane that is seen in CloudWatch; moto asks all of them."""

    def show_metrics(self) -> None:
        """From now on CloudWatch has the metrics of this control plane's instances."""
        _PLANES.add(self)

    def free_storage(self, instance) -> float:
        """Bytes that are free on an instance's volume."""
        return instance.free_storage if instance.free_storage is not None else instance.facts["AllocatedStorage"] * _GIB * _FREE

    def metrics(self, region: str) -> list:
        """The last three hours, for those who look at the clock on the wall and for those who look at virtual time."""
        with self.lock:
            free = {instance.name: self.free_storage(instance) for instance in self.store.region(region).instances.values()
                    if not instance.gone and instance.addressed and instance.facts.get("AllocatedStorage")}
        moments = {int(now // 60 - back) * 60 for now in (time.time(), self.clock.now()) for back in range(_MINUTES)}
        times = [datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).replace(tzinfo=None) for moment in sorted(moments)]
        return [MetricDatum("AWS/RDS", "FreeStorageSpace", value, [{"Name": "DBInstanceIdentifier", "Value": name}], moment, "Bytes")
                for name, value in free.items() for moment in times]


class _Provider(CloudWatchMetricProvider):
    """How moto finds them."""

    @staticmethod
    def get_cloudwatch_metrics(account_id: str, region: str) -> list:
        return [datum for plane in list(_PLANES) if plane.settings.account == account_id for datum in plane.metrics(region)]
