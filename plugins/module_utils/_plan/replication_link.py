# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""What makes a restored copy follow its source, decided from the state of both servers: where it begins, and when it must not."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.mysql_server import MARIADB
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.replication import (
    FollowerState,
    Position,
    ReplicaStatus,
    SourceState,
    at_or_after,
    fault_of,
    gtid_domains,
    gtid_reached,
    gtid_set,
    gtid_text,
    gtids_missing,
    is_gapless,
    log_number,
    replication_error,
    same_gtid,
    without_server,
)

NOTHING, START, SET, STOP = "nothing", "start", "set", "stop"
GTID, COORDINATES = "gtid", "coordinates"
# The receiver's errors that a renewed login cures: a run may have died between renewing the password and setting the link.
_LOGIN_REFUSED = (1045, 1130, 1698, 2061, 3118, 4151)
_VOID = "Take the link off (state: absent), delete the target by hand, and begin anew with a new snapshot; the source is untouched and goes on serving."


@dataclass(frozen=True)
class LinkWish:
    """What the operator wants of a target.

    :param host: with ``port``, how the target reaches the source.
    :param coordinates: the end of what the restored copy holds, in the source's log; None if nobody says.
    :param drained_once: the link was taken off before: a target without one must not be linked again.
    """

    host: str
    port: int
    user: str
    coordinates: Position | None
    drained_once: bool = False


@dataclass(frozen=True)
class LinkDecision:
    """What is to be done to a target.

    :param action: ``nothing``, ``start`` or ``set`` (which ends with a start).
    :param stop: its threads are stopped before it is set.
    :param at: where it is set to.
    :param mode: ``gtid`` or ``coordinates``.
    :param reason: in words.
    """

    action: str
    mode: str
    reason: str
    stop: bool = False
    at: Position | None = None


def decide_seed(label: str, source: SourceState, seed: FollowerState, coordinates: Position | None) -> str:
    """``stop`` if the seed replica follows the source and runs, ``nothing`` if it stands where it shall.

    :param coordinates: what an earlier look answered; the replica must stand there and not have moved.
    :raises EncryptionError: if nothing that is made of it could be used.
    """
    status = seed.status
    if status is None:
        raise EncryptionError(
            f"{label}: it replicates from nobody (or the login may not see it).",
            next_step="see that it is a read replica of the source and that RDS did not end its replication (after 30 days of standstill it does).",
        )
    _same_source(label, source, status)
    _refuse_filters(label, status)
    error = replication_error(label, status)
    if error is not None:
        raise error
    if not seed.keeps_order:
        raise RefusedError(
            f"{label}: it applies in parallel without keeping the order of commits, so that the position at which it stops may have gaps before it.",
            next_step="set replica_preserve_commit_order=1 (slave_preserve_commit_order), or no parallel workers, in its parameter group, and run again.",
        )
    if coordinates is not None:
        _refuse_moved(label, seed, coordinates)
        return NOTHING
    return NOTHING if status.stopped else STOP


def _same_source(label: str, source: SourceState, status: ReplicaStatus) -> None:
    """Hosts say nothing (RDS shows an internal address), the server's own identity does."""
    followed = status.source_uuid if source.uuid and status.source_uuid else str(status.source_server_id or "")
    real = source.uuid if source.uuid and status.source_uuid else str(source.server_id)
    if not followed:
        raise EncryptionError(
            f"{label}: it never reached its source {status.host} ({status.threads}): {status.receiver_error or 'no error'}.",
            next_step="wait until it replicates, then run again.",
        )
    if followed.lower() != real.lower():
        raise RefusedError(
            f"{label}: it follows another server ({status.host}, {followed}) than the source ({real}).",
            done="Nothing was changed on it.",
            next_step="see which instance is meant: its coordinates would be places in another log.",
        )


def _refuse_filters(label: str, status: ReplicaStatus) -> None:
    if status.filters:
        raise RefusedError(
            f"{label}: its replication leaves data out: {', '.join(status.filters)}.",
            done="Nothing was changed on it.",
            next_step="take replicate-* out of its parameter group; what was left out is missing, so make the instance anew.",
        )


def _refuse_moved(label: str, seed: FollowerState, coordinates: Position) -> None:
    status, applied = seed.status, seed.applied
    void = "every snapshot and copy made of it since then is void: stop it again (call without coordinates), and take a new snapshot."
    if status is None or not status.stopped:
        raise RefusedError(f"{label}: it was to stand still at {coordinates}, and it runs ({status and status.threads}).", next_step=void)
    moved = applied is None or (applied.file, applied.position) != (coordinates.file, coordinates.position)
    if moved or (coordinates.gtid and seed.gtid is not None and not same_gtid(seed.family, seed.gtid, coordinates.gtid)):
        raise RefusedError(f"{label}: it was to stand still at {coordinates}, and stands at {applied}.", next_step=void)


def seed_stands(label: str, seed: FollowerState) -> bool:
    """Whether a replica that was stopped may be copied as it stands; False if it must run on for a moment and be stopped again.

    :raises EncryptionError: if it shows no position.
    """
    if seed.status is None or not seed.status.stopped or seed.temporary_tables:
        return False
    if seed.applied is None:
        raise EncryptionError(f"{label}: it stands still and shows no position of its source's log.", next_step="let it run until it has one.")
    log_number(seed.applied.file)
    return True


def decide_link(label: str, wish: LinkWish, source: SourceState, target: FollowerState, *, knows_gtid: bool, renew: bool = False) -> LinkDecision:
    """What makes the target follow the source without losing or repeating a transaction.

    The target's own state decides, never a file: what it has applied is never set back.

    :param source: read after the target, so that what the target has is in it.
    :param knows_gtid: whether RDS has a procedure to set the link by GTID.
    :param renew: it is set again in any case: its login was refused.
    :raises EncryptionError: if it must not follow, with what to do.
    """
    _refuse_unready(label, target)
    if target.status is None:
        return _begin(label, wish, source, target, knows_gtid)
    status = target.status
    _refuse_filters(label, status)
    ours = (status.host.lower(), status.port, status.user) == (wish.host.lower(), wish.port, wish.user)
    error = replication_error(label, status)
    if error is not None and status.applier_code and not fault_of(status.applier_code).again:
        raise error
    _refuse_errant(label, wish, source, target)
    applied = target.applied
    if applied is not None and wish.coordinates is not None and not at_or_after(applied, wish.coordinates):
        raise RefusedError(
            f"{label}: it has applied up to {applied}, which lies before {wish.coordinates}, where its copy was said to begin: they do not belong together.",
            done="Nothing was changed on it.",
            next_step=_VOID,
        )
    mode = GTID if status.by_gtid else COORDINATES
    if ours and status.receiver_code not in _LOGIN_REFUSED and not renew:
        _refuse_lost_place(label, wish, target)
        return _go_on(label, source, status, mode)
    at, mode = _own_place(label, wish, source, target, ours or status.user == wish.user, knows_gtid)
    reason = "the source does not take its login any more" if ours else f"it is set to {status.user}@{status.host}:{status.port}"
    return LinkDecision(SET, mode, reason, stop=not status.stopped, at=at)


def _refuse_lost_place(label: str, wish: LinkWish, target: FollowerState) -> None:
    """A plain RESET leaves the link and forgets the place: a start would begin with the oldest log that the source has.

    A link by GTID shows no place either until it was started. It was set on a proven set, which is kept with the data: that it goes on from there
    shows in the coordinates, or, without them, in the login that came to the target by this very link.
    """
    status, begun = target.status, wish.coordinates
    if status is None or status.file:
        return
    goes_on = target.has_login if begun is None else bool(begun.gtid) and gtid_reached(target.family, target.gtid, begun.gtid)
    if status.by_gtid and goes_on:
        return
    raise RefusedError(
        f"{label}: its link has lost its position (somebody reset it): to start it would begin with the oldest log of the source.",
        done="Nothing was changed on it.",
        next_step=_VOID,
    )


def _go_on(label: str, source: SourceState, status: ReplicaStatus, mode: str) -> LinkDecision:
    error = replication_error(label, status)
    fault = fault_of(status.applier_code or status.receiver_code)
    if error is not None and not fault.passing and not fault.again:
        raise error
    if status.source_server_id or status.source_uuid:
        _same_source(label, source, status)
    if status.delay:
        raise RefusedError(
            f"{label}: it applies with a delay of {status.delay} s, so that it never catches up.",
            next_step="CALL mysql.rds_set_source_delay(0) on it, then run again.",
        )
    if "No" in (status.receiver, status.applier):
        return LinkDecision(START, mode, f"it is linked, and stands still ({status.threads})")
    return LinkDecision(NOTHING, mode, "it follows")


def _refuse_unready(label: str, target: FollowerState) -> None:
    """The target must not be written to, by nobody: what is written there stops replication, or is lost at the swap."""
    if not target.read_only:
        raise RefusedError(
            f"{label}: it accepts writes (read_only=0).",
            done="It was not linked.",
            next_step="give it a parameter group of its own with read_only=1 and event_scheduler=OFF, restart it, and run again.",
        )
    if target.event_scheduler not in ("OFF", "0", "DISABLED"):
        raise RefusedError(
            f"{label}: its event scheduler is {target.event_scheduler}: events of the copy would run on it and stop replication (1062).",
            done="It was not linked.",
            next_step="give it a parameter group of its own with event_scheduler=OFF and read_only=1, restart it, and run again.",
        )
    if target.links > 1:
        raise RefusedError(f"{label}: it knows {target.links} sources.", next_step="take all of them off but one, then run again.")


def _refuse_errant(label: str, wish: LinkWish, source: SourceState, target: FollowerState) -> None:
    errant = errant_transactions(wish.coordinates, source, target)
    if errant:
        raise RefusedError(
            f"{label}: it holds transactions that the source does not know: {errant}.",
            done="It was not linked.",
            next_step=f"find out who wrote to it. {_VOID}",
        )


def errant_transactions(coordinates: Position | None, source: SourceState, target: FollowerState) -> str:
    """What MySQL's target holds that neither the source knows nor the copy brought along; empty where GTIDs are off.

    Its own uuid is left out: the platform writes under it. ``own_transactions`` has those.
    """
    if target.family == MARIADB or not (source.gtid_on and target.gtid_on):
        return ""
    foreign = without_server(gtids_missing(gtid_set(target.gtid), gtid_set(source.end.gtid)), target.uuid)
    return gtid_text(gtids_missing(foreign, gtid_set(coordinates.gtid if coordinates else None)))


def own_transactions(target: FollowerState) -> str:
    """Transactions that MySQL's target began itself: the platform's, if nobody could write to it."""
    mine = gtid_set(target.gtid) if target.gtid_on and target.family != MARIADB else {}
    return gtid_text({key: intervals for key, intervals in mine.items() if key[0] == (target.uuid or "").lower()})


def _begin(label: str, wish: LinkWish, source: SourceState, target: FollowerState, knows_gtid: bool) -> LinkDecision:
    """A target that follows nobody begins where its copy ends - unless there is a sign that it has gone on since."""
    void = None
    if wish.drained_once:
        void = "its link was taken off before"
    elif target.has_login:
        void = f"it holds the account {wish.user}, which reached it by replication"
    elif wish.coordinates is not None and _is_beyond(target, wish.coordinates):
        void = f"it holds transactions ({target.gtid}) that come after {wish.coordinates} ({wish.coordinates.gtid})"
    if void:
        raise RefusedError(
            f"{label}: it follows nobody, but {void}: where it stands in the source's log is not known, and to begin at the coordinates again would "
            "apply changes twice.",
            done="Nothing was changed on it.",
            next_step=_VOID,
        )
    if wish.coordinates is None:
        raise RefusedError(f"{label}: it follows nobody, and no coordinates are given.", next_step="give the coordinates that state: seeded answered.")
    _refuse_errant(label, wish, source, target)
    mode = GTID if knows_gtid and _proves_its_set(wish, source, target, wish.coordinates) else COORDINATES
    _refuse_purged(label, source, wish.coordinates, mode)
    return LinkDecision(SET, mode, "it follows nobody yet", at=wish.coordinates)


def _is_beyond(target: FollowerState, coordinates: Position) -> bool:
    if not coordinates.gtid or not target.gtid:
        return False
    if target.family == MARIADB:
        begun = gtid_domains(coordinates.gtid)
        return any(number > begun.get(domain, (0, 0))[1] for domain, (_server, number) in gtid_domains(target.gtid).items())
    return bool(without_server(gtids_missing(gtid_set(target.gtid), gtid_set(coordinates.gtid)), target.uuid))


def _own_place(
    label: str, wish: LinkWish, source: SourceState, target: FollowerState, was_ours: bool, knows_gtid: bool
) -> tuple[Position, str]:
    """Where a target that has a link goes on, and in which mode."""
    by_gtid = bool(target.status and target.status.by_gtid)
    if was_ours and by_gtid and knows_gtid:
        # Set by us, on a proven set; the set is kept with the data, whatever else was in between.
        return target.applied or Position("", 0, target.gtid), GTID
    applied = target.applied
    if applied is None:
        if wish.coordinates is None or not wish.coordinates.gtid or not same_gtid(target.family, wish.coordinates.gtid, target.gtid):
            raise RefusedError(
                f"{label}: it has a link that shows no position, and nothing proves that it still stands at the coordinates.",
                done="Nothing was changed on it.",
                next_step=_VOID,
            )
        applied = wish.coordinates
    mode = GTID if knows_gtid and _proves_its_set(wish, source, target, applied) else COORDINATES
    _refuse_purged(label, source, applied, mode)
    return applied, mode


def _proves_its_set(wish: LinkWish, source: SourceState, target: FollowerState, at: Position) -> bool:
    """Whether the GTIDs of the restored copy say exactly what it holds.

    A copy that came back without the source's binary logs may have lost some: the set then has a hole, and what is in the hole would be
    sent again. MariaDB: the source itself must call the place by the same GTIDs.
    """
    recorded = wish.coordinates.gtid if wish.coordinates else None
    at_beginning = wish.coordinates is not None and (at.file, at.position) == (wish.coordinates.file, wish.coordinates.position)
    if not recorded or not target.gtid or not (source.gtid_on and target.gtid_on):
        return False
    if target.family == MARIADB:
        named = source.gtid_of_place
        return bool(named) and same_gtid(MARIADB, named, target.gtid) and (not at_beginning or same_gtid(MARIADB, recorded, target.gtid))
    mine, begun = gtid_set(target.gtid), gtid_set(recorded)
    more = without_server(gtids_missing(mine, begun), target.uuid)
    purged = gtids_missing(gtid_set(source.purged), mine)
    return is_gapless(mine) and not gtids_missing(begun, mine) and not purged and not (at_beginning and more)


def _refuse_purged(label: str, source: SourceState, at: Position, mode: str) -> None:
    """Said before the link is set: afterwards it is error 1236."""
    if not at_or_after(source.end, at):
        raise RefusedError(
            f"{label}: it stands at {at}, but the log of the source ends at {source.end}: the coordinates belong to another server, or the source "
            "lost the end of its log in a failover.",
            done="Nothing was changed on it.",
            next_step=_VOID,
        )
    if mode == COORDINATES and source.logs is not None and at.file not in {name for name, _size in source.logs}:
        raise RefusedError(
            f"{label}: the source has no binary log {at.file} any more (it has {source.logs[0][0] if source.logs else 'none'} and later ones), so that "
            f"nothing can follow it from {at} on (error 1236).",
            done="Nothing was changed on it.",
            next_step=f"raise 'binlog retention hours' of the source. {_VOID}",
        )
