# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Compare what two servers hold: pure functions over their catalogs, counts and checksums."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

SYSTEM_SCHEMAS = frozenset({"mysql", "sys", "information_schema", "performance_schema", "innodb", "tmp"})

EQUAL, DIFFERS, ONLY_SOURCE, ONLY_TARGET, UNCHECKED = "equal", "differs", "only on the source", "only on the target", "not checked"
SAMPLED, COUNTED = "sample equal", "number of rows equal"

# A sample beyond the time budget: the first and last rows by primary key, and where its first column is a number, rows in between.
SAMPLE_PIECES, SAMPLE_SIZE = 14, 500
_WHOLE_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint")

Name = tuple[str, str]


@dataclass(frozen=True)
class Table:
    """A base table of one side.

    :param definition: digest of columns, indexes, foreign keys and options.
    :param key: columns of the primary key.
    :param numeric_key: its first column holds whole numbers.
    :param written: whether the server knows of a write since it was started.
    """

    approximate_rows: int | None
    size: int
    auto_increment: int | None
    engine: str
    definition: str
    key: tuple[str, ...] = ()
    numeric_key: bool = False
    written: bool = False


@dataclass(frozen=True)
class Catalog:
    """What one server holds, without system schemas.

    :param others: views, routines, triggers and events: ``(kind, schema, name)`` to digest; None is a definition that the login may not see.
    :param definers: ``(kind, schema, name)`` to ``user@host``.
    :param event_states: ``(schema, name)`` to ``ENABLED``, ``DISABLED``, ``SLAVESIDE_DISABLED``, ...
    """

    schemas: dict[str, str]
    tables: dict[Name, Table]
    others: dict[tuple[str, str, str], str | None]
    definers: dict[tuple[str, str, str], str]
    accounts: frozenset | None
    event_states: dict[Name, str] = field(default_factory=dict)


def catalog_from(rows: dict, wanted: list[str] | None = None, excluded: list[str] = ()) -> Catalog:
    """A catalog from the adapter's ``read_catalog``.

    :param wanted: only these schemas.
    """

    def chosen(row) -> bool:
        schema = row["s"]
        return schema.lower() not in SYSTEM_SCHEMAS and schema not in excluded and (wanted is None or schema in wanted)

    parts: dict[Name, list] = {}
    for kind in ("columns", "indexes", "foreign_keys"):
        for row in filter(chosen, rows[kind]):
            parts.setdefault((row["s"], row["n"]), []).append([kind] + [row[c] for c in sorted(row) if c not in ("s", "n")])
    keys = {}
    for row in filter(chosen, rows["indexes"]):
        if row["a"] == "PRIMARY":
            keys.setdefault((row["s"], row["n"]), []).append((int(row["b"]), row["c"]))
    types = {(row["s"], row["n"], row["b"]): str(row["c"]).lower() for row in filter(chosen, rows["columns"])}
    parameters: dict[tuple, list] = {}
    for row in filter(chosen, rows["parameters"]):
        parameters.setdefault((row["t"], row["s"], row["n"]), []).append([row[c] for c in sorted(row)])
    tables, others, definers = {}, {}, {}
    for row in filter(chosen, rows["tables"]):
        if "VIEW" in row["t"]:
            continue
        name = (row["s"], row["n"])
        key = tuple(column for _place, column in sorted(keys.get(name, [])))
        tables[name] = Table(
            approximate_rows=None if row["approximate_rows"] is None else int(row["approximate_rows"]),
            size=int(row["bytes"]),
            auto_increment=None if row["ai"] is None else int(row["ai"]),
            engine=row["e"] or "",
            definition=_digest([row["t"], row["e"], row["collation"], row["rf"], row["comment"], parts.get(name)]),
            key=key,
            numeric_key=bool(key) and types.get((*name, key[0]), "").startswith(_WHOLE_NUMBERS),
            written=row.get("written") is not None,
        )
    for kind, key in (("view", "views"), ("routine", "routines"), ("trigger", "triggers"), ("event", "events")):
        for row in filter(chosen, rows[key]):
            what = row["t"].lower() if kind == "routine" else kind
            name = (what, row["s"], row["n"])
            more = parameters.get((row["t"], row["s"], row["n"])) if kind == "routine" else None
            others[name] = _digest([row[c] for c in sorted(row) if c != "state"] + [more]) if row["body"] else None
            definers[name] = row["definer"]
    return Catalog(
        schemas={row["s"]: f"{row['charset']} {row['collation']}" for row in filter(chosen, rows["schemas"])},
        tables=tables,
        others=others,
        definers=definers,
        accounts=None if rows["accounts"] is None else frozenset(rows["accounts"]),
        event_states={(row["s"], row["n"]): row["state"] for row in filter(chosen, rows["events"])},
    )


def _digest(value) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", errors="surrogateescape")).hexdigest()[:16]


# How the servers call an event that came by replication and is switched off on the replica (MySQL 8.0.22: REPLICA_SIDE_DISABLED).
_OFF_ON_A_REPLICA = ("SLAVESIDE_DISABLED", "REPLICA_SIDE_DISABLED")


def compare_catalogs(source: Catalog, target: Catalog, *, replicas: bool = False) -> list[dict]:
    """Differences besides the rows of tables: ``{kind, schema, name, verdict, detail}``.

    :param replicas: both are replicas: whether an event is enabled there depends on how the replica was made, and it runs in neither case.
    """
    found = []

    def differs(kind, schema, name, verdict, detail=""):
        found.append(dict(kind=kind, schema=schema, name=name, verdict=verdict, detail=detail))

    for schema in sorted(set(source.schemas) | set(target.schemas)):
        ours, theirs = source.schemas.get(schema), target.schemas.get(schema)
        if ours != theirs:
            differs("schema", schema, "", _sides(ours, theirs), f"{ours} / {theirs}" if ours and theirs else "")
    for name in sorted(set(source.tables) | set(target.tables)):
        ours, theirs = source.tables.get(name), target.tables.get(name)
        if ours is None or theirs is None:
            differs("table", *name, _sides(ours, theirs))
        elif ours.definition != theirs.definition:
            differs("table", *name, DIFFERS, "columns, indexes, foreign keys or options differ")
        elif (ours.auto_increment or 0) > (theirs.auto_increment or 0):
            # A smaller next value would give an id away a second time; a larger one does no harm.
            differs("auto_increment", *name, DIFFERS, f"{ours.auto_increment} / {theirs.auto_increment}")
    for key in sorted(set(source.others) | set(target.others)):
        if key not in source.others or key not in target.others:
            differs(*key, ONLY_SOURCE if key in source.others else ONLY_TARGET)
        elif source.others[key] is None or target.others[key] is None:
            differs(*key, UNCHECKED, "the login may not see the definition")
        elif source.others[key] != target.others[key]:
            differs(*key, DIFFERS, "definition, definer or options differ")
    for name in sorted(set(source.event_states) & set(target.event_states)):
        states = (source.event_states[name], target.event_states[name])
        if states[0] != states[1] and not (replicas and any(state in _OFF_ON_A_REPLICA for state in states)):
            differs("event", *name, DIFFERS, f"{states[0]} / {states[1]}")
    return found


def orphans(source: Catalog, target: Catalog) -> tuple[list[dict], list[dict]]:
    """Objects of the target whose definer has no account there: those for which it is a difference, and those equal on the source."""
    if target.accounts is None:
        return [], []
    new, old = [], []
    for (kind, schema, name), definer in sorted(target.definers.items()):
        # MariaDB lets a role be the definer; it is printed without a host.
        if definer in target.accounts or f"{definer}@" in target.accounts:
            continue
        row = dict(kind=kind, schema=schema, name=name, definer=definer)
        was_orphan = source.accounts is not None and definer not in source.accounts and f"{definer}@" not in source.accounts
        (old if was_orphan else new).append(row)
    return new, old


def _sides(ours, theirs) -> str:
    return ONLY_TARGET if ours is None else ONLY_SOURCE if theirs is None else DIFFERS


def batches(
    source: Catalog, target: Catalog, at_most_tables: int = 40, at_most_bytes: int = 64 << 20, *, only_written: bool = False
) -> list[tuple[list[Name], int]]:
    """Tables of both sides in groups with their size: first those that were written since the source's start, then smallest first.

    A source behind a fence should have none of the first sort: they are the ones that may lack something on the target.

    :param only_written: leave the others out.
    """
    common = sorted(
        (not source.tables[n].written, max(source.tables[n].size, target.tables[n].size), n)
        for n in set(source.tables) & set(target.tables)
        if source.tables[n].written or not only_written
    )
    result: list[tuple[list[Name], int]] = []
    group: list[Name] = []
    total = 0
    for _order, size, name in common:
        if group and (len(group) >= at_most_tables or total + size > at_most_bytes):
            result.append((group, total))
            group, total = [], 0
        group.append(name)
        total += size
    if group:
        result.append((group, total))
    return result


def sample_starts(low: int, high: int, pieces: int = SAMPLE_PIECES) -> tuple[int, ...]:
    """Values of a numeric key, spread evenly over its range, at which pieces of a sample begin; the same on both sides."""
    return tuple(sorted({low + (high - low) * number // (pieces + 1) for number in range(1, pieces + 1)} - {low}))


@dataclass(frozen=True)
class Sample:
    """What is known of a table beyond the time budget, of one side each.

    :param pieces: ``(number, digest)`` of the pieces of the sample, None if it could not be taken or the table has no primary key.
    :param count: the number of rows, for a table without a primary key.
    """

    pieces: tuple | None = None
    count: int | None = None

    @property
    def rows(self) -> int:
        """How many rows were looked at, at most."""
        return sum(number or 0 for number, _digest in self.pieces or ())


def _row_of_sample(ours: Sample, theirs: Sample) -> dict:
    if ours.pieces and theirs.pieces and not any(None in piece for piece in (*ours.pieces, *theirs.pieces)):
        same = ours.pieces == theirs.pieces
        return dict(sampled_rows=ours.rows, checksum=SAMPLED if same else DIFFERS, verdict=SAMPLED if same else DIFFERS)
    if ours.count is not None and theirs.count is not None:
        return dict(
            exact=True, source_rows=ours.count, target_rows=theirs.count, checksum=UNCHECKED, verdict=COUNTED if ours.count == theirs.count else DIFFERS
        )
    return {}


def table_rows(source: Catalog, target: Catalog, measured: dict, samples: dict | None = None, *, names=None) -> list[dict]:
    """One row per table of both sides with its verdict, by schema and name.

    :param measured: ``name -> ((rows, checksum), (rows, checksum))`` for the tables that were counted.
    :param samples: ``name -> (Sample, Sample)`` for tables that were beyond the time budget.
    :param names: only these tables.
    """
    result = []
    for name in sorted(set(source.tables) & set(target.tables) if names is None else names):
        ours, theirs = source.tables[name], target.tables[name]
        row = dict(schema=name[0], table=name[1], bytes=ours.size, exact=name in measured)
        if name in measured:
            (source_rows, source_sum), (target_rows, target_sum) = measured[name]
            unknown = source_sum is None or target_sum is None
            checksum = UNCHECKED if unknown else EQUAL if source_sum == target_sum else DIFFERS
            if None in (source_rows, target_rows):
                verdict = UNCHECKED
            else:
                verdict = checksum if source_rows == target_rows else DIFFERS
            row.update(source_rows=source_rows, target_rows=target_rows, checksum=checksum, verdict=verdict)
        else:
            row.update(source_rows=ours.approximate_rows, target_rows=theirs.approximate_rows, checksum=UNCHECKED, verdict=UNCHECKED)
            row.update(_row_of_sample(*(samples or {}).get(name, (Sample(), Sample()))))
        result.append(row)
    return result


def summary(rows: list[dict], differences: list[dict], new_orphans: list[dict]) -> dict[str, int]:
    """Numbers for the report."""
    verdicts = [row["verdict"] for row in rows]
    return dict(
        tables=len(rows),
        equal=verdicts.count(EQUAL),
        different=verdicts.count(DIFFERS),
        sampled=verdicts.count(SAMPLED),
        counted=verdicts.count(COUNTED),
        not_checked=verdicts.count(UNCHECKED),
        other_differences=sum(1 for row in differences if row["verdict"] != UNCHECKED),
        unreadable_definitions=sum(1 for row in differences if row["verdict"] == UNCHECKED),
        definers_missing=len(new_orphans),
    )


def failures_in_words(
    rows: list[dict], differences: list[dict], new_orphans: list[dict], settings: list[str] = (), at_most: int = 8
) -> str | None:
    """The differences in a sentence, or None if there are none.

    :param settings: settings with which the target must not serve, in words.
    """
    texts = list(settings)
    for row in rows:
        if row["verdict"] == DIFFERS:
            how = f"{row['source_rows']} rows on the source, {row['target_rows']} on the target"
            if row.get("sampled_rows"):
                how = f"a sample of {row['sampled_rows']} rows"
            texts.append(f"table {row['schema']}.{row['table']}: {how}, checksum {row['checksum']}")
    for row in differences:
        if row["verdict"] != UNCHECKED:
            name = f"{row['schema']}.{row['name']}" if row["name"] else row["schema"]
            texts.append(f"{row['kind']} {name} {row['verdict']}" + (f" ({row['detail']})" if row["detail"] else ""))
    texts += [f"{row['kind']} {row['schema']}.{row['name']}: its definer {row['definer']} has no account" for row in new_orphans]
    if not texts:
        return None
    more = f"; and {len(texts) - at_most} more" if len(texts) > at_most else ""
    return f"{len(texts)} difference(s): {'; '.join(texts[:at_most])}{more}."


def beyond_the_budget(rows: list[dict], budget: float, at_most: int = 10) -> str | None:
    """What was not compared row by row, in a sentence, or None."""
    how = {
        SAMPLED: "compared by a sample of rows (the first, the last and some in between, by primary key)",
        COUNTED: "without a primary key, compared by the number of rows",
        UNCHECKED: "not compared: only approximate row counts are known",
    }
    parts = []
    for verdict, words in how.items():
        names = [f"{row['schema']}.{row['table']}" for row in rows if row["verdict"] == verdict]
        if names:
            more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
            parts.append(f"{len(names)} {words} ({', '.join(names[:at_most])}{more})")
    return f"Beyond the time budget of {budget:g} s or unreadable: {'; '.join(parts)}." if parts else None
