# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""From a fenced source to its encrypted target: snapshot, encrypted copy, restore, finish.

Law 1 is decided here: only a snapshot of this very source, named and tagged with the fence in force, becomes a target.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.durations import usual_seconds
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    MAX_SNAPSHOT_IDENTIFIER,
    TAG_FENCE_ID,
    TAG_FENCED,
    TAG_LINK_ID,
    TAG_SOURCE_RESOURCE_ID,
    TAG_TARGET_RESOURCE_ID,
    identifier_problem,
    own_tags,
    tag_list,
    tags_of,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.statuses import READY_STATUSES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.steps import Plan, Step, stages
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.topology import (
    ROLE_COPY,
    ROLE_SNAPSHOT,
    ROLE_TARGET,
    is_encrypted,
    target_tags_for,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.carry import predict_restored, restore_parameters
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.finish import FinishRequest, plan_finish


@dataclass(frozen=True)
class RestoreRequest:
    """What was asked for.

    :param name: the name that applications use; kept in the tags.
    :param fence_id: the fence that the snapshot must belong to; a run under check mode that only predicts its fence passes a made-up one.
    :param fence_assumed: the fence is only predicted (check mode), or there is none (rehearsal): do not ask the source's tags for it.
    :param snapshot_identifier: a name for the snapshot instead of the derived one; must contain the fence id.
    :param link_id: the target is to follow the source, which serves: the id of that attempt, which takes the place of the fence id.
    :param snapshot_tags: more tags for the snapshot: where replication has to begin.
    """

    name: str
    target_identifier: str
    kms_key_arn: str
    fence_id: str
    fence_assumed: bool = False
    snapshot_identifier: str | None = None
    encrypted_snapshot_identifier: str | None = None
    extra_tags: tuple[tuple[str, str], ...] = ()
    finish: FinishRequest = field(default_factory=lambda: FinishRequest(frozenset()))
    accepted_by_restore: frozenset = frozenset()
    link_id: str | None = None
    snapshot_tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RestoreState:
    """What is there: ``DBInstance`` and ``DBSnapshot`` shapes or None; snapshots by the identifiers that were asked for.

    :param origin: the instance that the snapshot is taken of, if that is not the source: a replica of it that stands still.
    """

    source: dict
    target: dict | None
    snapshots: dict[str, dict] = field(default_factory=dict)
    origin: dict | None = None

    @property
    def snapshot_of(self) -> dict:
        return self.origin or self.source


MAX_ATTEMPTS = 5


def snapshot_candidates(request: RestoreRequest) -> tuple[list[str], list[str]]:
    """The identifiers to look at for the snapshot and for its encrypted copy, in order of preference.

    A snapshot that RDS reported as failed keeps its identifier (nothing is deleted, law 2), so there is a small series of names.
    """
    plain = request.snapshot_identifier or f"{request.target_identifier}-{request.fence_id}"
    copy = request.encrypted_snapshot_identifier or f"{plain}-encrypted"
    return _series(plain, request.snapshot_identifier), _series(copy, request.encrypted_snapshot_identifier)


def _series(first: str, given: str | None) -> list[str]:
    return [first] if given else [first] + [f"{first}-{n}" for n in range(2, MAX_ATTEMPTS + 1)]


def plan_restore(request: RestoreRequest, state: RestoreState) -> Plan:
    """The steps that are left until the target exists and equals the source.

    :raises RefusedError: a law or RDS stands against it; nothing was changed.
    """
    _check_request(request)
    if state.target is not None:
        if being_made_unmarked(state.target):
            return Plan(stages([wait_for_marks(state.target, TAG_SOURCE_RESOURCE_ID)]))
        check_target_is_ours(request, state)
        return plan_finish(state.source, state.target, request.finish)
    _check_fence(request, state.source)
    _check_not_lost(request, state.source)
    if is_encrypted(state.source):
        raise RefusedError(f"{state.source['DBInstanceIdentifier']} is encrypted already: nothing to restore from it.")
    plain_names, copy_names = snapshot_candidates(request)
    copy_id, copy = _usable(copy_names, state, request, "encrypted copy")
    if copy is not None and not _encrypted_as_asked(copy, request):
        raise RefusedError(
            f"The copy {copy_id} is encrypted with {copy.get('KmsKeyId')}, asked for is {request.kms_key_arn}.",
            done="It was not used, and nothing was changed.",
            next_step="Ask for the same key, or give another encrypted_snapshot_identifier, or remove the copy and run again.",
        )
    snapshot_id, snapshot = _usable(plain_names, state, request, "snapshot")
    take, copying = [], []
    if copy is None:
        if snapshot is None or snapshot.get("Status") != "available":
            take.append(_take_snapshot(request, state, snapshot_id, exists=snapshot is not None))
        copying.append(_copy_snapshot(request, state, snapshot_id, copy_id))
    elif copy.get("Status") != "available":
        copying.append(_copy_snapshot(request, state, snapshot_id, copy_id, exists=True))
    restore, predicted = _restore(request, state.source, copy_id)
    rest = plan_finish(state.source, predicted, request.finish, assumed=True)
    return Plan(stages(take, copying, [restore]) + rest.stages, rest.remarks)


def _check_request(request: RestoreRequest) -> None:
    problem = identifier_problem(request.target_identifier)
    if problem:
        raise RefusedError(f"target_db_instance_identifier {request.target_identifier} {problem}.")
    for option, candidates in zip(("snapshot_identifier", "encrypted_snapshot_identifier"), snapshot_candidates(request), strict=True):
        given = getattr(request, option)
        if given is None:
            problem = identifier_problem(candidates[-1], MAX_SNAPSHOT_IDENTIFIER)
            if problem:
                raise RefusedError(f"The snapshot identifier {candidates[-1]}, made of the target's name and the fence id, {problem}.")
            continue
        problem = identifier_problem(given, MAX_SNAPSHOT_IDENTIFIER)
        if problem:
            raise RefusedError(f"{option} {given} {problem}.")
        if request.fence_id not in given:
            raise RefusedError(
                f"{option} {given} does not contain the fence id {request.fence_id}.",
                done="Nothing was changed.",
                next_step="Leave the option out, or put the fence id into the name: that is how a snapshot of another fence is told apart.",
            )


def _check_fence(request: RestoreRequest, source: dict) -> None:
    tagged = tags_of(source).get(TAG_FENCE_ID)
    if request.fence_assumed:
        return
    if tagged is not None and tagged != request.fence_id:
        raise RefusedError(
            f"{source['DBInstanceIdentifier']} is fenced with id {tagged}, not with {request.fence_id}.",
            done="Nothing was changed.",
            next_step="Use the fence id on the source's tags, or fence it anew; a snapshot of another fence may lack writes.",
        )
    if tagged is not None and source["DBInstanceIdentifier"] == request.name:
        raise RefusedError(
            f"{request.name} answers under the name that applications use: fence {request.fence_id} is not in force.",
            done="Nothing was changed.",
            next_step="Fence it again (a new fence id is made), then restore.",
        )
    if tagged is not None and not tags_of(source).get(TAG_FENCED, "").startswith(request.fence_id + " "):
        raise RefusedError(
            f"{source['DBInstanceIdentifier']}: fence {request.fence_id} was begun and not completed, so connections may still write to it.",
            done="Nothing was changed.",
            next_step="Run the fence again (it completes what was begun), then restore.",
        )


def noted_target(request: RestoreRequest, source: dict) -> str | None:
    """The resource id of the target that the source's tags name, if they are of this fence; the cutover notes it before it renames."""
    tags = tags_of(source)
    return tags.get(TAG_TARGET_RESOURCE_ID) if tags.get(TAG_FENCE_ID) == request.fence_id else None


def _check_not_lost(request: RestoreRequest, source: dict) -> None:
    noted = noted_target(request, source)
    if noted and not request.fence_assumed:
        raise RefusedError(
            f"The tags of {source['DBInstanceIdentifier']} name {noted} as its target, which cannot be seen at the moment.",
            done="Nothing was changed: no second target is made.",
            next_step=f"Run again in some minutes; if it was removed for good, take the tag {TAG_TARGET_RESOURCE_ID} off "
            f"{source['DBInstanceIdentifier']} first.",
        )


def being_made_unmarked(described: dict) -> bool:
    """Whether an instance is being made and shows no tags yet (they may come later than it): whose it is cannot be said before it does."""
    return described["DBInstanceStatus"] not in READY_STATUSES and not tags_of(described)


def wait_for_marks(described: dict, mark: str) -> Step:
    """The step that waits until an instance that is being made shows its tags."""
    identifier = described["DBInstanceIdentifier"]
    return Step(
        "WaitUntilReady",
        identifier,
        f"Wait until the tags of {identifier} say who made it",
        resource_id=described["DbiResourceId"],
        replan=True,
        confirmed=lambda d: mark in tags_of(d),
    )


def check_target_is_ours(request: RestoreRequest, state: RestoreState) -> None:
    """Raise unless the target was restored from this source under this fence, with the wanted key (law 1)."""
    tags = tags_of(state.target)
    name = state.target["DBInstanceIdentifier"]
    if tags.get(TAG_SOURCE_RESOURCE_ID) != state.source["DbiResourceId"]:
        raise RefusedError(
            f"{name} exists, and its tags do not say that it was restored from {state.source['DBInstanceIdentifier']} by this collection.",
            done="It was left as it is; nothing was changed.",
            next_step=f"Rename or remove {name}, or choose another new_prefix.",
        )
    if tags.get(TAG_FENCE_ID) != request.fence_id and not request.fence_assumed:
        raise RefusedError(
            f"{name} was restored under fence {tags.get(TAG_FENCE_ID)}; the fence in force is {request.fence_id}, so it lacks later writes.",
            done="It was left as it is; nothing was changed.",
            next_step=f"Rename or remove {name}: it must never serve. Then run again: a new one is made.",
        )
    if not is_encrypted(state.target) or state.target.get("KmsKeyId") not in (None, request.kms_key_arn):
        raise RefusedError(
            f"{name} is encrypted with {state.target.get('KmsKeyId')}, asked for is {request.kms_key_arn}.",
            done="It was left as it is.",
            next_step=f"Ask for the same key, or rename or remove {name} and run again.",
        )


def _usable(names: list[str], state: RestoreState, request: RestoreRequest, kind: str) -> tuple[str, dict | None]:
    """The first identifier that holds a snapshot of this fence or is free; failed ones are passed over."""
    for identifier in names:
        found = state.snapshots.get(identifier)
        if found is None:
            return identifier, None
        if not of_this_fence(found, state.source, request.fence_id, state.snapshot_of):
            raise RefusedError(
                f"A {kind} named {identifier} exists that does not belong to fence {request.fence_id} of {state.source['DBInstanceIdentifier']}.",
                done="It was not used, and nothing was changed.",
                next_step="Find out who made it; give another snapshot identifier or remove it.",
            )
        if found.get("Status") != "failed":
            return identifier, found
    raise RefusedError(
        f"All {len(names)} {kind}s of {state.source['DBInstanceIdentifier']} under fence {request.fence_id} failed.",
        done="The source is untouched but for its name.",
        next_step="Look at their events (aws rds describe-events), mend the cause, remove the failed ones, run again.",
    )


def of_this_fence(snapshot: dict, source: dict, fence_id: str, origin: dict | None = None) -> bool:
    """Whether a snapshot (or copy) is of this very source and of this fence, by its name and its tags.

    :param origin: the instance that it was taken of, if that is not the source.
    """
    tags = tags_of(snapshot)
    resource_id = (origin or source)["DbiResourceId"]
    return (
        fence_id in snapshot["DBSnapshotIdentifier"]
        and tags.get(TAG_FENCE_ID) == fence_id
        and tags.get(TAG_SOURCE_RESOURCE_ID) == source["DbiResourceId"]
        and snapshot.get("DbiResourceId", resource_id) == resource_id
    )


def _take_snapshot(request: RestoreRequest, state: RestoreState, snapshot_id: str, exists: bool) -> Step:
    source, origin = state.source, state.snapshot_of
    tags = {**target_tags_for(request.name, ROLE_SNAPSHOT, source, request.fence_id), **dict(request.snapshot_tags)}
    return Step(
        "CreateDBSnapshot",
        snapshot_id,
        f"Take snapshot {snapshot_id} of {origin['DBInstanceIdentifier']}",
        {"DBInstanceIdentifier": origin["DBInstanceIdentifier"], "DBSnapshotIdentifier": snapshot_id, "Tags": tag_list(tags)},
        confirmed=lambda s: of_this_fence(s, source, request.fence_id, origin),
        started=exists,
        expected=usual_seconds("CreateDBSnapshot", origin),
    )


def _copy_snapshot(request: RestoreRequest, state: RestoreState, snapshot_id: str, copy_id: str, exists: bool = False) -> Step:
    source, origin = state.source, state.snapshot_of
    tags = {**own_tags(tags_of(source)), **dict(request.extra_tags), **target_tags_for(request.name, ROLE_COPY, source, request.fence_id)}
    return Step(
        "CopyDBSnapshot",
        copy_id,
        f"Copy {snapshot_id} to {copy_id}, encrypted",
        {
            "SourceDBSnapshotIdentifier": snapshot_id,
            "TargetDBSnapshotIdentifier": copy_id,
            "KmsKeyId": request.kms_key_arn,
            "Tags": tag_list(tags),
        },
        confirmed=lambda s: of_this_fence(s, source, request.fence_id, origin) and _encrypted_as_asked(s, request),
        started=exists,
        expected=usual_seconds("CopyDBSnapshot", origin),
    )


def _encrypted_as_asked(copy: dict, request: RestoreRequest) -> bool:
    return bool(copy.get("Encrypted")) and copy.get("KmsKeyId", request.kms_key_arn) == request.kms_key_arn


def _restore(request: RestoreRequest, source: dict, copy_id: str) -> tuple[Step, dict]:
    product = target_tags_for(request.name, ROLE_TARGET, source, request.fence_id)
    if request.link_id:
        product[TAG_LINK_ID] = request.link_id
    carried = restore_parameters(source, request.accepted_by_restore)
    tags = {**own_tags(tags_of(source)), **dict(request.extra_tags), **product}
    parameters = {
        **carried,
        "DBInstanceIdentifier": request.target_identifier,
        "DBSnapshotIdentifier": copy_id,
        "Tags": tag_list(tags),
    }
    step = Step(
        "RestoreDBInstanceFromDBSnapshot",
        request.target_identifier,
        f"Restore {request.target_identifier} from {copy_id}",
        parameters,
        replan=True,
        expected=usual_seconds("RestoreDBInstanceFromDBSnapshot", source),
        confirmed=lambda d: all(tags_of(d).get(key) == value for key, value in product.items()),
    )
    predicted = predict_restored(
        source, parameters, target_identifier=request.target_identifier, kms_key_arn=request.kms_key_arn
    )
    return step, {**predicted, "TagList": tag_list(tags)}
