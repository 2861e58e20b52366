# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.
"""The report of a run as one page of HTML: no script, nothing from elsewhere, for screens of any width and for paper.

Made without a template engine: whatever is no ``Markup`` is escaped, so that no name of a server can become a part of the page, and the
page is the same on each version of Ansible.
"""

from __future__ import annotations

import html
from datetime import datetime

from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.phases import PHASES
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.pages import duration_in_words
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.report_tables import (
    TABLES,
    Table,
    fleet_table,
    longest_outage,
    outage_in_words,
    run_table,
)

# Light and dark are told apart by lightness, phases by hue and order; the numbers stand in the tables, so that nothing is said by colour alone.
_STYLE = """
:root{color-scheme:light dark;--ink:#1a1f26;--dim:#57606a;--paper:#fff;--soft:#f3f5f7;--line:#d5dae0;--bad:#b3261e;--good:#1a7f37;--out:#f6d5d2;
--preflight:#8c959f;--seed:#5b8def;--prepare:#a371f7;--fence:#d9480f;--build:#1f6feb;--validate:#1b998b;--cutover:#c2255c;--report:#8c959f;
--rollback:#b7791f;--retire:#6e7781}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9aa5b1;--paper:#0d1117;--soft:#161b22;--line:#30363d;--bad:#ff8379;--good:#56d364;
--out:#4c1f1c}}
*{box-sizing:border-box}
body{overflow-wrap:anywhere;margin:0 auto;max-width:76rem;padding:1rem;background:var(--paper);color:var(--ink);
font:15px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:1.6rem;margin:.4rem 0}
h2{font-size:1.2rem;margin:1.6rem 0 .5rem;padding-top:.6rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.1rem 0 .3rem}
a{color:inherit}
p{margin:.3rem 0}
.dim{color:var(--dim)}
.bad{color:var(--bad);font-weight:600}
.good{color:var(--good);font-weight:600}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.87rem}
th,td{text-align:left;vertical-align:top;padding:.28rem .5rem;border-bottom:1px solid var(--line);
overflow-wrap:anywhere;white-space:pre-line}
th{background:var(--soft);white-space:nowrap;overflow-wrap:normal}
td{min-width:6rem}
.failure{border-left:4px solid var(--bad);background:var(--soft);padding:.5rem .8rem;margin:.6rem 0;overflow-wrap:anywhere}
.tiles{display:flex;flex-wrap:wrap;gap:.6rem;margin:.8rem 0}
.tile{background:var(--soft);padding:.5rem .9rem;min-width:7rem}
.tile b{display:block;font-size:1.25rem}
.legend{display:flex;flex-wrap:wrap;gap:.2rem .9rem;font-size:.85rem;margin:.4rem 0}
.legend svg{width:.8rem;height:.8rem;vertical-align:-.1rem;margin-right:.3rem}
.row{display:grid;grid-template-columns:minmax(7rem,14rem) 1fr 6rem;gap:.6rem;align-items:center;font-size:.85rem;break-inside:avoid;padding:.1rem 0}
.row svg{width:100%;height:1.25rem;display:block;background:var(--soft)}
.row span:first-child{overflow-wrap:anywhere}
.scale{color:var(--dim)}
.scale div{display:flex;justify-content:space-between}
rect.outage{fill:var(--out)}
rect.failed{stroke:var(--bad);stroke-width:3;vector-effect:non-scaling-stroke}
line{stroke:var(--line);vector-effect:non-scaling-stroke}
PHASE_COLOURS
@media (max-width:640px){body{padding:.6rem}
.row{grid-template-columns:1fr auto}
.row svg,.row .axis{grid-column:1/-1;grid-row:2}
.wide table,.wide tbody,.wide tr,.wide td{display:block;width:100%}
.wide thead{position:absolute;left:-9999px}
.wide tr{border-bottom:2px solid var(--line);padding:.3rem 0}
.wide td{border:0;min-width:0;padding:.1rem 0 .1rem 7.5rem;min-height:1.5rem;position:relative}

.wide td::before{content:attr(data-name);position:absolute;left:0;width:7rem;color:var(--dim)}}
@page{size:A4;margin:14mm}
@media print{td{min-width:3.6rem}}
@media print{:root{color-scheme:light;--ink:#000;--dim:#444;--paper:#fff;--soft:#f3f5f7;--line:#c8ced6;--bad:#9b1c14;--good:#125d29;--out:#f6d5d2}
body{max-width:none;padding:0;font-size:10pt}
table{font-size:8pt}
h2,h3{break-after:avoid}
tr,.failure{break-inside:avoid}
thead{display:table-header-group}
th{white-space:normal}
svg rect,.tile,th,.failure{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.row{font-size:8pt;grid-template-columns:8rem 1fr 6rem}}
""".replace("PHASE_COLOURS", "".join(f".p-{phase.name}{{fill:var(--{phase.name})}}" for phase in PHASES))


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, *children, **attributes) -> Markup:
    """An element; children and values that are no Markup are escaped. A trailing or inner underscore of an attribute stands for a hyphen."""
    given = "".join(f' {name.strip("_").replace("_", "-")}="{html.escape(str(value))}"' for name, value in attributes.items() if value is not None)
    return Markup(f"<{tag}{given}>{together(children)}</{tag}>")


def together(children) -> Markup:
    """Elements and texts one behind the other."""
    return Markup("".join(child if isinstance(child, Markup) else html.escape(str(child)) for child in children))


def void(tag: str, **attributes) -> Markup:
    """An element without an end tag."""
    given = "".join(f' {name.strip("_").replace("_", "-")}="{html.escape(str(value))}"' for name, value in attributes.items())
    return Markup(f"<{tag}{given}>")


def report_html(report: dict) -> str:
    """The whole page."""
    run = report["run"]
    title = f"{run['playbook']}: {run['outcome']}"
    head = element(
        "head",
        void("meta", charset="utf-8"),
        void("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="referrer", content="no-referrer"),
        element("title", f"{title}, {run['started']}"),
        element("style", Markup(_STYLE)),
    )
    body = element(
        "body",
        element("h1", title),
        _tiles(report),
        _table((("", ""), run_table(report)), head=False),
        _failures(report["failures"]),
        element("h2", "Timeline"),
        _timeline(report),
        element("h2", "Hosts"),
        _table(fleet_table(report), links=[f"#host-{number}" for number in range(1, len(report["hosts"]) + 1)]),
        *(_host(host, number) for number, host in enumerate(report["hosts"], 1)),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def _tiles(report: dict) -> Markup:
    hosts = report["hosts"]
    outages = [outage for host in hosts if (outage := longest_outage(host))]
    longest = max(outages, key=lambda outage: outage["seconds"] or 0) if outages else None
    members = [member for host in hosts for member in host["members"]]
    tiles = [
        ("hosts", len(hosts)),
        ("instances encrypted", f"{sum(1 for m in members if m['serving_encrypted'])} of {len(members)}"),
        ("failures", len(report["failures"])),
        ("longest outage", outage_in_words(longest)),
        ("took", duration_in_words(_seconds(report["run"]["finished"]) - _seconds(report["run"]["started"]))),
    ]
    return element("div", *(element("div", element("b", value), name, class_="tile") for name, value in tiles), class_="tiles")


def _failures(failures: list[dict]) -> Markup:
    if not failures:
        return Markup("")
    boxes = []
    for failure in failures:
        lines = [element("p", element("b", failure["host"]), f", phase {failure['phase']}, {failure['resource']}"), element("p", failure["cause"])]
        lines += [element("p", element("b", name), " ", failure[key]) for key, name in (("state", "State:"), ("next_step", "Next:")) if failure[key]]
        lines.append(element("p", f"Recovery guide: {failure['recovery']}", class_="dim"))
        boxes.append(element("div", *lines, class_="failure"))
    return together([element("h2", "Failures"), *boxes])


def _timeline(report: dict) -> Markup:
    starts = [_seconds(phase["started"]) for host in report["hosts"] for phase in host["phases"]]
    ends = [_seconds(phase["finished"]) for host in report["hosts"] for phase in host["phases"]]
    if not starts:
        return element("p", "No phase began.")
    begin, span = min(starts), max(max(ends) - min(starts), 1)
    seen = [phase for phase in PHASES if any(p["phase"] == phase.name for host in report["hosts"] for p in host["phases"])]
    keys = [(f"p-{phase.name}", phase.title) for phase in seen] + [("outage", "nobody serves under the name")]
    legend = [element("span", _svg(element("rect", x=0, y=0, width=10, height=10, class_=name), box="0 0 10 10"), text) for name, text in keys]
    ticks = [_clock(begin + span * part / 4) for part in range(5)]
    axis = element(
        "div",
        element("span", ""),
        element("div", *(element("span", tick) for tick in ticks), class_="axis"),
        element("span", "outage"),
        class_="row scale",
    )
    rows = [_bar(host, number, begin, span) for number, host in enumerate(report["hosts"], 1)]
    return together([element("p", *legend, class_="legend"), axis, *rows])


def _bar(host: dict, number: int, begin: float, span: float) -> Markup:
    def at(moment: str) -> float:
        return round(1000 * min(max(_seconds(moment) - begin, 0), span) / span, 2)

    shapes = [element("line", x1=x, x2=x, y1=0, y2=24) for x in (250, 500, 750)]
    outage = longest_outage(host)
    if outage:
        left, right = at(outage["from"]), at(outage["to"]) if outage["to"] else 1000
        words = f"Outage: {outage_in_words(outage)}"
        shapes.append(element("rect", element("title", words), x=left, y=0, width=max(round(right - left, 2), 1), height=24, class_="outage"))
    for phase in host["phases"]:
        left, right = at(phase["started"]), at(phase["finished"])
        words = f"{phase['title']}: {duration_in_words(phase['seconds'])}, from {phase['started']}, {phase['status']}"
        name = f"p-{phase['phase']}" + (" failed" if phase["status"] == "failed" else "")
        shapes.append(element("rect", element("title", words), x=left, y=5, width=max(round(right - left, 2), 2), height=14, class_=name))
    spoken = ", ".join(f"{p['title']} {duration_in_words(p['seconds'])}" for p in host["phases"])
    chart = _svg(*shapes, box="0 0 1000 24", role="img", aria_label=f"{host['host']}: {spoken}")
    label = element("span", element("a", host["host"], href=f"#host-{number}"))
    return element("div", label, chart, element("span", outage_in_words(outage)), class_="row")


def _svg(*shapes, box: str, **attributes) -> Markup:
    return element("svg", *shapes, viewBox=box, preserveAspectRatio="none", **attributes)


def _host(host: dict, number: int) -> Markup:
    tone = {"failed": "bad", "stopped": "bad", "done": "good"}.get(host["outcome"], "dim")
    parts = [element("h2", host["host"], ": ", element("span", host["outcome"], class_=tone)), element("p", host["outcome_text"])]
    for title, table in TABLES:
        columns, rows = table(host)
        if rows:
            parts += [element("h3", title), _table((columns, rows))]
    return element("section", *parts, id=f"host-{number}")


def _table(table: Table, *, head: bool = True, links: list[str] | None = None) -> Markup:
    columns, rows = table
    body = []
    for number, row in enumerate(rows):
        cells = []
        for index, (name, value) in enumerate(zip(columns, row, strict=True)):
            shown = element("a", value, href=links[number]) if links and index == 0 else value
            cells.append(element("td", shown, data_name=name or None))
        body.append(element("tr", *cells))
    top = element("thead", element("tr", *(element("th", name, scope="col") for name in columns))) if head else Markup("")
    return element("div", element("table", top, element("tbody", *body)), class_="wide" if head else "facts")


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=_UTC).strftime("%H:%M:%S")


_UTC = datetime.fromisoformat("1970-01-01T00:00:00+00:00").tzinfo
