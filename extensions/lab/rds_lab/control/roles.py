# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Feature roles and the master user's password, managed or not."""

from __future__ import annotations

from . import catalogue, checks
from .aws import new_password
from .errors import RdsError, combination, value
from .registry import operation


@operation("AddRoleToDBInstance")
def add_role(plane, call, request):
    instance = plane.instance(call.region, request["DBInstanceIdentifier"])
    checks.available(instance)
    arn, feature = request["RoleArn"], request["FeatureName"]
    if feature not in catalogue.FEATURES:
        raise value(f"The feature name {feature} isn't supported for engine {instance.engine}.")
    plane.neighbours.check_role(arn, "IAM role ARN value is invalid or does not include the required permissions")
    if any(role["RoleArn"] == arn and role["FeatureName"] == feature or role["FeatureName"] == feature for role in instance.roles):
        raise RdsError("DBInstanceRoleAlreadyExists",
                       f"The specified IAM role ARN or the feature {feature} is already associated with the DB instance {instance.name}.")
    if len(instance.roles) >= plane.settings.roles_per_instance:
        raise RdsError("DBInstanceRoleQuotaExceeded", "You can't associate more IAM roles with the DB instance.")
    role = {"RoleArn": arn, "FeatureName": feature, "Status": "PENDING"}
    instance.roles.append(role)
    plane.publish(instance)

    def run(transition):
        transition.wait(plane.settings.role_activation)
        with plane.changing(instance):
            role["Status"] = "ACTIVE" if plane.neighbours.role(arn) is not None else "INVALID"

    plane.spawn_beside(instance, run)
    return {}


@operation("RemoveRoleFromDBInstance")
def remove_role(plane, call, request):
    instance = plane.instance(call.region, request["DBInstanceIdentifier"])
    checks.available(instance)
    kept = [role for role in instance.roles if (role["RoleArn"], role["FeatureName"]) != (request["RoleArn"], request["FeatureName"])]
    if len(kept) == len(instance.roles):
        raise RdsError("DBInstanceRoleNotFound", f"The role {request['RoleArn']} isn't associated with the DB instance {instance.name}.")
    instance.roles[:] = kept
    plane.publish(instance)
    return {}


def master_changes(plane, instance, request: dict, now: dict) -> None:
    """What a ModifyDBInstance asks of the master password."""
    manage, password = request.get("ManageMasterUserPassword"), request.get("MasterUserPassword")
    key, managed = request.get("MasterUserSecretKmsKeyId"), instance.secret is not None
    if manage and password:
        raise combination("You can't specify MasterUserPassword when ManageMasterUserPassword is true.")
    if key and not manage:
        raise value("MasterUserSecretKmsKeyId can only be specified together with ManageMasterUserPassword.")
    if managed and password and manage is not False:
        raise combination("The master password of this DB instance is managed in AWS Secrets Manager.")
    if manage is False and managed and not password:
        raise combination("You must specify MasterUserPassword when ManageMasterUserPassword is false.")
    if manage and instance.source_id and not catalogue.is_sqlserver(instance.engine):
        raise combination("ManageMasterUserPassword isn't supported on a read replica.")
    if request.get("RotateMasterUserPassword"):
        if not managed:
            raise combination("RotateMasterUserPassword needs a password that is managed in AWS Secrets Manager.")
        if not request.get("ApplyImmediately"):
            raise combination("RotateMasterUserPassword needs ApplyImmediately.")
        now["_rotate"] = True
    if password is not None:
        if not 8 <= len(password) <= 128 or any(sign in password for sign in "/\"@ ") and not catalogue.is_oracle(instance.engine):
            raise value("The parameter MasterUserPassword is not a valid password.")
        now["MasterUserPassword"] = password
        if managed:
            now["_unmanage"] = True
    if manage and not managed:
        keys, region = plane.neighbours, instance.region
        now["_manage"] = (keys.check_key(region, key) if key else keys.service_key(region, "aws/secretsmanager")).arn


def master_work(plane, transition, instance, now: dict) -> None:
    """Make the master password what was asked; in the thread of a transition."""
    settings, username = plane.settings, instance.facts["MasterUsername"]
    if "MasterUserPassword" in now:
        transition.status(instance, "resetting-master-credentials")
        _set_password(plane, transition, instance, settings.password_reset, username, now["MasterUserPassword"])
        with plane.changing(instance):
            instance.pending_shown.pop("MasterUserPassword", None)
            if now.get("_unmanage"):
                plane.neighbours.delete_secret(instance.region, instance.secret_arn)
                instance.secret, instance.secret_arn = None, ""
        plane.event(instance, ["configuration change"], "Reset master credentials", "RDS-EVENT-0016")
    if "_manage" in now:
        password = new_password()
        with plane.changing(instance):
            instance.status = "resetting-master-credentials"
            arn = plane.neighbours.create_secret(instance.region, plane.arn(instance), username, password, now["_manage"])
            instance.secret_arn = arn
            instance.secret = {"SecretArn": arn, "SecretStatus": "creating", "KmsKeyId": now["_manage"]}
        _set_password(plane, transition, instance, settings.password_reset, username, password)

        def ready(later):
            later.wait(settings.secret_creation)
            with plane.changing(instance):
                if instance.secret is not None:
                    instance.secret["SecretStatus"] = "active"

        plane.spawn_beside(instance, ready)
    if now.get("_rotate"):
        password = new_password()
        with plane.changing(instance):
            instance.secret["SecretStatus"] = "rotating"
        _set_password(plane, transition, instance, settings.password_reset, username, password)
        with plane.changing(instance):
            plane.neighbours.rotate_secret(instance.region, instance.secret_arn, username, password)
            instance.secret["SecretStatus"] = "active"


def _set_password(plane, transition, instance, seconds: float, username: str, password: str) -> None:
    transition.serve(seconds, instance.supported, "set_master_password", instance.resource_id, username, password)
    with plane.lock:
        instance.password = password
