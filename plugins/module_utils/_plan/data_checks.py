# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Compare what two servers hold: pure functions over their catalogs, counts and checksums."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

SYSTEM_SCHEMAS = frozenset({"mysql", "sys", "information_schema", "performance_schema", "innodb", "tmp"})

EQUAL, DIFFERS, ONLY_SOURCE, ONLY_TARGET, UNCHECKED = "equal", "differs", "only on the source", "only on the target", "not checked"

Name = tuple[str, str]


@dataclass(frozen=True)
class Table:
    """A base table of one side.

    :param definition: digest of columns, indexes, foreign keys and options.
    """

    approximate_rows: int | None
    size: int
    auto_increment: int | None
    engine: str
    definition: str


@dataclass(frozen=True)
class Catalog:
    """What one server holds, without system schemas.

    :param others: views, routines, triggers and events: ``(kind, schema, name)`` to digest; None is a definition that the login may not see.
    :param definers: ``(kind, schema, name)`` to ``user@host``.
    """

    schemas: dict[str, str]
    tables: dict[Name, Table]
    others: dict[tuple[str, str, str], str | None]
    definers: dict[tuple[str, str, str], str]
    accounts: frozenset | None


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
    parameters: dict[tuple, list] = {}
    for row in filter(chosen, rows["parameters"]):
        parameters.setdefault((row["t"], row["s"], row["n"]), []).append([row[c] for c in sorted(row)])
    tables, others, definers = {}, {}, {}
    for row in filter(chosen, rows["tables"]):
        if "VIEW" in row["t"]:
            continue
        name = (row["s"], row["n"])
        tables[name] = Table(
            approximate_rows=None if row["approximate_rows"] is None else int(row["approximate_rows"]),
            size=int(row["bytes"]),
            auto_increment=None if row["ai"] is None else int(row["ai"]),
            engine=row["e"] or "",
            definition=_digest([row["t"], row["e"], row["collation"], row["rf"], row["comment"], parts.get(name)]),
        )
    for kind, key in (("view", "views"), ("routine", "routines"), ("trigger", "triggers"), ("event", "events")):
        for row in filter(chosen, rows[key]):
            what = row["t"].lower() if kind == "routine" else kind
            name = (what, row["s"], row["n"])
            more = parameters.get((row["t"], row["s"], row["n"])) if kind == "routine" else None
            others[name] = _digest([row[c] for c in sorted(row)] + [more]) if row["body"] else None
            definers[name] = row["definer"]
    return Catalog(
        schemas={row["s"]: f"{row['charset']} {row['collation']}" for row in filter(chosen, rows["schemas"])},
        tables=tables,
        others=others,
        definers=definers,
        accounts=None if rows["accounts"] is None else frozenset(rows["accounts"]),
    )


def _digest(value) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", errors="surrogateescape")).hexdigest()[:16]


def compare_catalogs(source: Catalog, target: Catalog) -> list[dict]:
    """Differences besides the rows of tables: ``{kind, schema, name, verdict, detail}``."""
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


def batches(source: Catalog, target: Catalog, at_most_tables: int = 40, at_most_bytes: int = 64 << 20) -> list[tuple[list[Name], int]]:
    """Tables of both sides in groups with their size, smallest tables first."""
    common = sorted((max(source.tables[n].size, target.tables[n].size), n) for n in set(source.tables) & set(target.tables))
    result: list[tuple[list[Name], int]] = []
    group: list[Name] = []
    total = 0
    for size, name in common:
        if group and (len(group) >= at_most_tables or total + size > at_most_bytes):
            result.append((group, total))
            group, total = [], 0
        group.append(name)
        total += size
    if group:
        result.append((group, total))
    return result


def table_rows(source: Catalog, target: Catalog, measured: dict) -> list[dict]:
    """One row per table of both sides with its verdict, by schema and name.

    :param measured: ``name -> ((rows, checksum), (rows, checksum))`` for the tables that were counted.
    """
    result = []
    for name in sorted(set(source.tables) & set(target.tables)):
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
        result.append(row)
    return result


def summary(rows: list[dict], differences: list[dict], new_orphans: list[dict]) -> dict[str, int]:
    """Numbers for the report."""
    verdicts = [row["verdict"] for row in rows]
    return dict(
        tables=len(rows),
        equal=verdicts.count(EQUAL),
        different=verdicts.count(DIFFERS),
        not_checked=verdicts.count(UNCHECKED),
        other_differences=sum(1 for row in differences if row["verdict"] != UNCHECKED),
        unreadable_definitions=sum(1 for row in differences if row["verdict"] == UNCHECKED),
        definers_missing=len(new_orphans),
    )


def failures_in_words(rows: list[dict], differences: list[dict], new_orphans: list[dict], at_most: int = 8) -> str | None:
    """The differences in a sentence, or None if there are none."""
    texts = []
    for row in rows:
        if row["verdict"] == DIFFERS:
            how = f"{row['source_rows']} rows on the source, {row['target_rows']} on the target"
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
