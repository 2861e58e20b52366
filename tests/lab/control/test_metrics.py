# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CloudWatch says of instances."""

from __future__ import annotations

import datetime


def test_free_storage_is_told_minute_by_minute_and_a_test_may_set_it(lab):
    lab.seed(AllocatedStorage=100)
    lab.seed("other", AllocatedStorage=20)

    def free(name: str) -> dict:
        now = datetime.datetime.now(datetime.timezone.utc)
        answer = lab.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/RDS", MetricName="FreeStorageSpace", Dimensions=[{"Name": "DBInstanceIdentifier", "Value": name}], Period=60,
            Statistics=["Minimum"], StartTime=now - datetime.timedelta(minutes=10), EndTime=now)
        assert len(answer["Datapoints"]) in ((9, 10, 11) if answer["Datapoints"] else (0,))
        return {(point["Minimum"], point["Unit"]) for point in answer["Datapoints"]}

    assert free("prod-one") == {(60.0 * 1024 ** 3, "Bytes")} and free("other") == {(12.0 * 1024 ** 3, "Bytes")}
    lab.admin("POST", "/_lab/instance", {"name": "prod-one", "free_storage": 1000.0})
    assert free("prod-one") == {(1000.0, "Bytes")} and free("other") == {(12.0 * 1024 ** 3, "Bytes")}
    assert free("nobody") == set()
