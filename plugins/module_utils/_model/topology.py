# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""A source, its replicas and what replaces them, found again at any point of a run.

Everything is read from identifiers, replication links, tags and ``DbiResourceId`` (law 3). Identifiers move during a run and links to
them may lag behind a rename (AWS: "Renaming a DB instance"), so an instance is recognised by its resource id and its tags first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.names import (
    REHEARSAL,
    TAG_CUT_OVER_AT,
    TAG_FENCE_ID,
    TAG_FENCED,
    TAG_LINK_ID,
    TAG_NAME,
    TAG_PREFIX,
    TAG_ROLE,
    TAG_SOURCE_RESOURCE_ID,
    TAG_TARGET_RESOURCE_ID,
    tags_of,
)

ROLE_SOURCE = "source"
ROLE_TARGET = "target"
ROLE_REPLICA = "replica"
ROLE_SNAPSHOT = "snapshot"
ROLE_COPY = "copy"
ROLE_SEED = "seed"
ROLE_SEED_REPLICA = "seed-replica"
# Instances, snapshots and copies of a rehearsal all have this one, so that no planner can take them for those of a run (law 1).
ROLE_REHEARSAL = "rehearsal"


NOT_ENCRYPTED, WITH_KMS_KEY, WITH_KEY_OF_RDS = "none", "sse-kms", "sse-rds"


def storage_encryption(described: dict) -> str:
    """How the storage of an instance, a cluster, a snapshot or a backup is encrypted: ``none``, ``sse-kms``, ``sse-rds``, or what RDS says.

    StorageEncryptionType decides where RDS gives it: an Aurora cluster may be ``StorageEncrypted: false`` and yet be encrypted with a key
    that AWS owns (botocore: ``StorageEncryptionType``). Older answers lack it; those of snapshots and backups say ``Encrypted``.
    """
    said = described.get("StorageEncryptionType") or NOT_ENCRYPTED
    if said != NOT_ENCRYPTED:
        return said
    return WITH_KMS_KEY if described.get("StorageEncrypted") or described.get("Encrypted") else NOT_ENCRYPTED


def is_encrypted(described: dict) -> bool:
    """Whether the storage is encrypted, by a KMS key or by an AWS-owned one."""
    return storage_encryption(described) != NOT_ENCRYPTED


def is_replica(described: dict) -> bool:
    """Whether the instance is a read replica of another instance or cluster."""
    return bool(described.get("ReadReplicaSourceDBInstanceIdentifier") or described.get("ReadReplicaSourceDBClusterIdentifier"))


@dataclass(frozen=True)
class Prefixes:
    """How the two sides are named while they are kept apart."""

    old: str = "old-"
    new: str = "new-"


@dataclass(frozen=True)
class Member:
    """One instance of a topology: its name, and the descriptions of both sides (``DBInstance`` shapes) as far as they exist."""

    name: str
    level: int
    parent: str | None
    source: dict | None
    target: dict | None
    prefixes: Prefixes

    @property
    def old_name(self) -> str:
        return self.prefixes.old + self.name

    @property
    def new_name(self) -> str:
        return self.prefixes.new + self.name

    @property
    def is_primary(self) -> bool:
        return self.level == 0

    @property
    def source_identifier(self) -> str | None:
        return self.source["DBInstanceIdentifier"] if self.source else None

    @property
    def target_identifier(self) -> str:
        """Today's identifier of the target; the one it will be restored under while it does not exist."""
        return self.target["DBInstanceIdentifier"] if self.target else self.new_name

    @property
    def fenced_by_name(self) -> bool:
        return self.source_identifier == self.old_name

    @property
    def cut_over(self) -> bool:
        return bool(self.target) and self.target["DBInstanceIdentifier"] == self.name


@dataclass(frozen=True)
class Topology:
    """Everything that moves as one; ``members`` holds the primary first, then replicas by level and name.

    ``unclear`` says what is not visible at the moment but may be soon: while an instance is renamed, no read shows it for a while.
    ``strays`` are encrypted replicas below the target that replace no replica of the source.
    """

    name: str
    prefixes: Prefixes
    members: tuple[Member, ...] = ()
    problems: tuple[str, ...] = ()
    skip_reason: str | None = None
    unclear: str | None = None
    source_tags: dict[str, str] = field(default_factory=dict)
    strays: tuple[Member, ...] = ()

    @property
    def primary(self) -> Member | None:
        return self.members[0] if self.members else None

    @property
    def replicas(self) -> tuple[Member, ...]:
        return self.members[1:]

    @property
    def fence_id(self) -> str | None:
        """The id of the fence in force: only a source that no longer answers under its name is fenced."""
        primary = self.primary
        return self.source_tags.get(TAG_FENCE_ID) if primary and primary.fenced_by_name else None

    @property
    def fenced(self) -> bool:
        """Whether the fence in force was completed (renamed and restarted), not only begun."""
        return bool(self.fence_id) and self.source_tags.get(TAG_FENCED, "").startswith(self.fence_id + " ")

    @property
    def link_id(self) -> str | None:
        """The id of the replication by which the target follows the source while that serves; None where no such attempt was begun."""
        return self.source_tags.get(TAG_LINK_ID)

    @property
    def drained(self) -> bool:
        """Whether the target was proven to hold every write up to the fence in force: only then it bears the id of that fence."""
        primary = self.primary
        target = primary.target if primary else None
        return bool(self.fence_id) and target is not None and tags_of(target).get(TAG_FENCE_ID) == self.fence_id

    @property
    def served(self) -> bool:
        """Whether the target has had the name, so that applications may have written to it: from then on only it may get the name again."""
        return bool(self.fence_id) and TAG_CUT_OVER_AT in self.source_tags

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: the run came to its end, which the marks of the primary's target show: they go last of all.

        What became of replicas since is their owners' affair: one that was removed or renamed is not made again.
        """
        primary = self.primary
        return (
            primary is not None
            and primary.cut_over
            and TAG_CUT_OVER_AT in self.source_tags
            and not any(key.startswith(TAG_PREFIX) for key in tags_of(primary.target))
        )


class Listing:
    """All instances of a region, indexed by what a topology is found by."""

    def __init__(self, instances: Iterable[dict]):
        self.instances = list(instances)
        self.by_name = {i["DBInstanceIdentifier"].lower(): i for i in self.instances}
        self.by_resource_id = {i["DbiResourceId"]: i for i in self.instances}

    def tagged(self, name: str, role: str) -> list[dict]:
        """Instances that carry this name and role, leaving out those whose tags were copied from another instance."""
        found = []
        for instance in self.instances:
            tags = tags_of(instance)
            if tags.get(TAG_NAME) != name or tags.get(TAG_ROLE) != role:
                continue
            if role == ROLE_SOURCE and tags.get(TAG_SOURCE_RESOURCE_ID) != instance["DbiResourceId"]:
                continue
            found.append(instance)
        return found


def find_topology(asked: str, listing: Listing, prefixes: Prefixes) -> Topology:
    """The topology that an inventory host means, whatever its members are called at this moment.

    :param asked: the host's name: a source's name, or its ``old-``/``new-`` identifier, or a replica's.
    :return: a topology; ``problems`` says why it cannot be worked on, ``skip_reason`` why there is nothing to do with this host.
    """
    asked = asked.lower()
    holder = listing.by_name.get(asked)
    name = name_in_tags(holder, prefixes) or asked if holder else asked
    plain = plain_name(asked, prefixes)
    if holder is None and plain != asked and any(listing.tagged(plain, role) for role in (ROLE_SOURCE, ROLE_REPLICA)):
        # new-NAME is gone once its holder was given the name, old-NAME once it was given back: in an inventory they still mean NAME.
        name, holder = plain, listing.by_name.get(plain)
    if holder is None:
        # A replica's name belongs to nobody from the fence to the cutover.
        holder = next((i for i in listing.tagged(name, ROLE_REPLICA) if is_replica(i)), None)
    if holder:
        if is_rehearsal(holder):
            return Topology(name, prefixes, skip_reason=f"{asked} {made_by_a_rehearsal(holder)}")
        if is_replica(holder):
            parent = holder.get("ReadReplicaSourceDBInstanceIdentifier") or holder.get("ReadReplicaSourceDBClusterIdentifier")
            return Topology(name, prefixes, skip_reason=f"{asked} is a read replica of {parent}: it moves with its source.")
    source, problems = _find_source(name, listing)
    if problems:
        return Topology(name, prefixes, problems=tuple(problems))
    if source is None:
        serving = listing.by_name.get(name)
        if serving is not None and is_encrypted(serving):
            return _described(name, prefixes, source=None, target=serving, listing=listing)
        unknown = _unknown(name, listing, prefixes)
        return Topology(name, prefixes, problems=(unknown,), unclear=unknown)
    target, problems = _find_target(name, source, prefixes, listing)
    if problems:
        return Topology(name, prefixes, problems=tuple(problems))
    topology = _described(name, prefixes, source=source, target=target, listing=listing)
    elsewhere = None if topology.finished else _called_otherwise(name, source["DBInstanceIdentifier"], prefixes)
    return replace(topology, problems=(elsewhere, *topology.problems)) if elsewhere else topology


def name_in_tags(instance: dict, prefixes: Prefixes) -> str | None:
    """The name that an instance's tags give it, unless they came from another instance (by hand, or with a snapshot of it)."""
    tags = tags_of(instance)
    name = tags.get(TAG_NAME)
    if name is None or tags.get(TAG_SOURCE_RESOURCE_ID) == instance["DbiResourceId"]:
        return name
    return name if instance["DBInstanceIdentifier"] in (name, prefixes.old + name, prefixes.new + name) else None


def _called_otherwise(name: str, identifier: str, prefixes: Prefixes) -> str | None:
    """Why a marked source cannot be worked on under the name that it has: under another prefix it would be taken for unfenced."""
    if identifier in (name, prefixes.old + name):
        return None
    return (
        f"{identifier} bears the marks of {name}'s source, but is called neither {name} nor {prefixes.old}{name}. If it was fenced with another "
        f"rds_encryption_old_prefix, run with that one again; if not, rename it to {prefixes.old}{name}."
    )


def _unknown(name: str, listing: Listing, prefixes: Prefixes) -> str:
    text = f"There is no DB instance {name} in this region and account, and none whose tags say that it was {name}."
    if prefixes.old + name in listing.by_name:
        text += f" {prefixes.old}{name} exists, but this collection did not rename it: give it its name back first if it is the one."
    return text


def _find_source(name: str, listing: Listing) -> tuple[dict | None, list[str]]:
    serving = listing.by_name.get(name)
    tagged = [i for i in listing.tagged(name, ROLE_SOURCE) if not is_encrypted(i)]
    if serving is not None and not is_encrypted(serving):
        # Whoever holds the name unencrypted is what applications write to; an earlier old- instance must not be taken for it.
        return serving, []
    if len(tagged) > 1:
        names = ", ".join(sorted(i["DBInstanceIdentifier"] for i in tagged))
        return None, [f"More than one instance carries the tags of {name}'s source ({names}): remove {TAG_PREFIX}* tags from all but the right one."]
    if tagged and serving is not None:
        # The name is held by an encrypted instance: the tagged one is its source only if the tags say so.
        tags = tags_of(tagged[0])
        known = {tags.get(TAG_TARGET_RESOURCE_ID)}
        ours = tags_of(serving).get(TAG_SOURCE_RESOURCE_ID) == tagged[0]["DbiResourceId"]
        if serving["DbiResourceId"] not in known and not ours:
            if TAG_CUT_OVER_AT in tags:
                return None, []  # an earlier run came to its end; whoever serves now was put there later
            return None, [
                f"{name} is held by an encrypted instance ({serving['DbiResourceId']}) that was not made from its fenced source "
                f"{tagged[0]['DBInstanceIdentifier']}. Find out who made it, and rename it out of the way."
            ]
    return (tagged[0] if tagged else None), []


def _find_target(name: str, source: dict, prefixes: Prefixes, listing: Listing) -> tuple[dict | None, list[str]]:
    source_tags = tags_of(source)
    following = [
        i
        for i in listing.tagged(name, ROLE_TARGET)
        if is_encrypted(i)
        and TAG_LINK_ID in source_tags
        and tags_of(i).get(TAG_LINK_ID) == source_tags[TAG_LINK_ID]
        and tags_of(i).get(TAG_SOURCE_RESOURCE_ID) == source["DbiResourceId"]
        and i["DBInstanceIdentifier"] in (name, prefixes.new + name)
    ]
    if source["DBInstanceIdentifier"] == name:
        # It answers under its own name and will be fenced anew: whatever was made under an earlier fence lacks writes (law 1), unless it
        # has followed the source ever since.
        return (following[0] if following else None), []
    by_id = listing.by_resource_id.get(source_tags.get(TAG_TARGET_RESOURCE_ID, ""))
    candidates = [
        i
        for i in listing.tagged(name, ROLE_TARGET)
        if is_encrypted(i)
        and tags_of(i).get(TAG_SOURCE_RESOURCE_ID) == source["DbiResourceId"]
        and tags_of(i).get(TAG_FENCE_ID) == source_tags.get(TAG_FENCE_ID)
    ]
    # Tags travel with backups: whoever restores one of the target's gets its marks too. A run calls its target by these names only.
    called_so = [i for i in candidates if i["DBInstanceIdentifier"] in (name, prefixes.new + name)]
    if called_so:
        return called_so[0], []
    if following:
        # It follows the source, and is not proven yet to hold all that was written before this fence.
        return following[0], []
    if by_id is not None and is_encrypted(by_id):
        return by_id, []
    serving = listing.by_name.get(name)
    if serving and TAG_FENCE_ID not in source_tags and tags_of(serving).get(TAG_SOURCE_RESOURCE_ID) == source["DbiResourceId"]:
        # A rollback made the fence void while a cutover gave the name away: it serves, whatever was noted.
        return serving, []
    if candidates:
        names = ", ".join(sorted(i["DBInstanceIdentifier"] for i in candidates))
        return None, [
            f"{names} bears the marks of {name}'s encrypted replacement, but is called neither {prefixes.new}{name} nor {name}. If it is the "
            f"replacement, rename it to {prefixes.new}{name}; if not, remove its {TAG_PREFIX}* tags."
        ]
    return None, []


def seed_identifier(name: str, prefixes: Prefixes) -> str:
    """What the read replica is called from which the target of a replicating strategy is seeded."""
    return f"{prefixes.new}{name}-seed"


def is_seed_replica(described: dict) -> bool:
    """Whether an instance was made to seed a target: it belongs to the run, not to the topology."""
    return tags_of(described).get(TAG_ROLE) == ROLE_SEED_REPLICA


def _seeds_of(source: dict, name: str, prefixes: Prefixes, listing: Listing) -> set[str]:
    """The identifiers of instances that seed, or seeded, a target of this source; one that is being made may not show its tags yet."""
    found = {seed_identifier(name, prefixes)} if TAG_LINK_ID in tags_of(source) else set()
    return found | {
        i["DBInstanceIdentifier"]
        for i in listing.instances
        if is_seed_replica(i) and tags_of(i).get(TAG_SOURCE_RESOURCE_ID) == source["DbiResourceId"]
    }


def without_seed(source: dict, prefixes: Prefixes) -> dict:
    """A source as if it had no seed, for a comparison that sees no other instance."""
    tags = tags_of(source)
    seed = seed_identifier(tags.get(TAG_NAME) or plain_name(source["DBInstanceIdentifier"], prefixes), prefixes)
    replicas = source.get("ReadReplicaDBInstanceIdentifiers") or []
    if TAG_LINK_ID not in tags or seed not in replicas:
        return source
    return {**source, "ReadReplicaDBInstanceIdentifiers": [replica for replica in replicas if replica != seed]}


def _described(name: str, prefixes: Prefixes, *, source: dict | None, target: dict | None, listing: Listing) -> Topology:
    seeds = _seeds_of(source, name, prefixes, listing) if source is not None else set()
    if seeds:
        # What a run hangs on the source for a while belongs to the run: it does not move, and is no difference to the target.
        replicas = [replica for replica in source.get("ReadReplicaDBInstanceIdentifiers") or [] if replica not in seeds]
        mine, source = source, {**source, "ReadReplicaDBInstanceIdentifiers": replicas}
        listing = Listing(source if i is mine else i for i in listing.instances if i["DBInstanceIdentifier"] not in seeds)
    members = [Member(name, 0, None, source, target, prefixes)]
    source_side, source_gaps = _replicas_below(source, name, prefixes, listing) if source else ([], [])
    target_side, target_gaps = _replicas_below(target, name, prefixes, listing) if target else ([], [])
    replacements = {replica_name: instance for replica_name, _level, _parent, instance in target_side}
    for replica_name, level, parent, instance in source_side:
        members.append(Member(replica_name, level, parent, instance, replacements.get(replica_name), prefixes))
    of_source = {member.name for member in members[1:]}
    others = [Member(each, level, parent, None, instance, prefixes) for each, level, parent, instance in target_side if each not in of_source]
    if source is None:
        members += others
    gaps = source_gaps + target_gaps
    unclear = f"{name}: replicas are listed that cannot be seen at the moment: {', '.join(sorted(gaps))}." if gaps else None
    noted = tags_of(source).get(TAG_TARGET_RESOURCE_ID) if source and source["DBInstanceIdentifier"] == prefixes.old + name else None
    if noted and target is None:
        unclear = (
            f"{name}: its tags name the target {noted}, which cannot be seen at the moment. If it was removed for good, take the tag "
            f"{TAG_TARGET_RESOURCE_ID} off {prefixes.old}{name}."
        )
    return Topology(
        name,
        prefixes,
        members=tuple(members),
        problems=(unclear,) if unclear else (),
        unclear=unclear,
        source_tags=tags_of(source) if source else {},
        strays=tuple(others) if source else (),
    )


def plain_name(identifier: str, prefixes: Prefixes) -> str:
    """An identifier without the prefix that a run gave it."""
    for prefix in (prefixes.old, prefixes.new):
        if prefix and identifier.startswith(prefix):
            return identifier[len(prefix) :]
    return identifier


def _replicas_below(
    root: dict, root_name: str, prefixes: Prefixes, listing: Listing
) -> tuple[list[tuple[str, int, str, dict]], list[str]]:
    """(name, level, parent's name, description) of all in-region replicas below an instance, nearest first; and who is listed unseen.

    Links name identifiers and may lag behind a rename, so a link counts for any identifier that the parent has or had in this run;
    an encrypted instance never replicates from an unencrypted one or the reverse, which tells both sides apart (RDS guide: Encryption).
    """
    found: list[tuple[str, int, str, dict]] = []
    gaps: list[str] = []
    seen = {root["DbiResourceId"]}
    level_parents = [(root, root_name)]
    level = 0
    while level_parents:
        level += 1
        next_parents = []
        for parent, parent_name in level_parents:
            aliases = {parent["DBInstanceIdentifier"], parent_name, prefixes.old + parent_name, prefixes.new + parent_name}
            listed = {r for r in parent.get("ReadReplicaDBInstanceIdentifiers") or [] if not r.startswith("arn:")}
            children = set()
            for instance in sorted(listing.instances, key=lambda i: i["DBInstanceIdentifier"]):
                linked = _links_to(instance, parent, aliases, listing) or instance["DBInstanceIdentifier"] in listed
                if instance["DbiResourceId"] in seen or not linked or is_encrypted(instance) != is_encrypted(root):
                    continue
                seen.add(instance["DbiResourceId"])
                replica_name = _member_name(instance, root, root_name, prefixes)
                children |= {instance["DBInstanceIdentifier"], replica_name}
                found.append((replica_name, level, parent_name, instance))
                next_parents.append((instance, replica_name))
            gaps += [r for r in listed if r not in children and plain_name(r, prefixes) not in children]
        level_parents = next_parents
    return found, gaps


def _links_to(instance: dict, parent: dict, aliases: set[str], listing: Listing) -> bool:
    """Whether an instance replicates from ``parent``, by the name that its link gives: today's, or one of before if nobody else fits it."""
    link = instance.get("ReadReplicaSourceDBInstanceIdentifier")
    holder = listing.by_name.get(link) if link else None
    if link not in aliases:
        return False
    return holder is None or holder is parent or is_encrypted(holder) != is_encrypted(instance)


def _member_name(instance: dict, root: dict, root_name: str, prefixes: Prefixes) -> str:
    tagged = name_in_tags(instance, prefixes)
    if tagged is not None:
        return tagged
    identifier = instance["DBInstanceIdentifier"]
    # While the root answers under its own name, no untagged replica was renamed (all are marked before the first rename, and the marks come
    # off after the last): it is simply called what it is called, even if that begins with a prefix.
    return identifier if root["DBInstanceIdentifier"] == root_name else plain_name(identifier, prefixes)


def how_to_make(topology: Topology, member: Member) -> str:
    """How an operator makes a replica that is missing although the topology's name was given away already; the build makes it before that."""
    parent = {each.name: each for each in topology.members}[member.parent]
    return (
        f"Make it by rds_replica_clone (source_db_instance_identifier: {parent.target_identifier}, "
        f"model_db_instance_identifier: {member.source_identifier}, target_db_instance_identifier: {member.new_name}), then run again."
    )


def cross_region_replicas(source: dict) -> list[str]:
    """The ARNs among a source's replicas: those of other regions are listed by ARN (botocore: ReadReplicaDBInstanceIdentifiers)."""
    return [r for r in source.get("ReadReplicaDBInstanceIdentifiers") or [] if r.startswith("arn:")]


def source_tags_for(member: Member, fence_id: str) -> dict[str, str]:
    """The tags that mark a member of the source side at fencing."""
    return {
        TAG_NAME: member.name,
        TAG_ROLE: ROLE_SOURCE if member.is_primary else ROLE_REPLICA,
        TAG_SOURCE_RESOURCE_ID: member.source["DbiResourceId"],
        TAG_FENCE_ID: fence_id,
    }


def target_tags_for(name: str, role: str, source: dict, fence_id: str) -> dict[str, str]:
    """The tags that mark an instance, snapshot or copy as made by a run from this source under this fence, or by a rehearsal."""
    role = ROLE_REHEARSAL if fence_id.startswith(REHEARSAL) else role
    return {TAG_NAME: name, TAG_ROLE: role, TAG_SOURCE_RESOURCE_ID: source["DbiResourceId"], TAG_FENCE_ID: fence_id}


def is_rehearsal(described: dict) -> bool:
    """Whether a rehearsal made this instance, snapshot or copy: it lacks what was written since, and never serves."""
    return tags_of(described).get(TAG_ROLE) == ROLE_REHEARSAL


def made_by_a_rehearsal(described: dict) -> str:
    """What to say of something that a rehearsal made, behind its identifier."""
    return f"was made by a rehearsal of {tags_of(described).get(TAG_NAME)} (rehearse_on_aws.yml), serves nobody, and is yours to delete."
