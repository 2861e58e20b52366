# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of the API of AWX as the modules of awx.awx need to make things: objects with names, associations, surveys, workflow nodes."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse

# What refers to what: the API refuses an id that does not exist.
REFERENCES = {"organization": "organizations", "inventory": "inventories", "project": "projects", "source_project": "projects",
              "execution_environment": "execution_environments", "default_environment": "execution_environments", "credential": "credentials",
              "credential_type": "credential_types", "workflow_job_template": "workflow_job_templates"}
TYPES = {"job_templates": "job_template", "workflow_job_templates": "workflow_job_template", "projects": "project"}


class Controller:
    """A controller that listens on a port of its own; ``stored`` maps a kind to its objects by id."""

    def __init__(self):
        self.stored: dict[str, dict[int, dict]] = {"organizations": {1: self._dressed("organizations", {"id": 1, "name": "Default"})}}
        self.surveys: dict[tuple[str, int], dict] = {}
        self.associations: dict[tuple[str, int, str], set[int]] = {}
        self.approvals: dict[int, dict] = {}
        self.changes = 0
        self._last = 1
        handler = type("Handler", (_Handler,), {"controller": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, kind: str, /, **values) -> None:
        """An object that was there before."""
        self._last += 1
        self.stored.setdefault(kind, {})[self._last] = self._dressed(kind, {"id": self._last, **values})

    def named(self, kind: str) -> dict[str, dict]:
        return {thing["name"]: thing for thing in self.stored.get(kind, {}).values()}

    def linked(self, kind: str, number: int, what: str) -> set[int]:
        return self.associations.get((kind, number, what), set())

    @staticmethod
    def _dressed(kind: str, thing: dict) -> dict:
        url = f"/api/v2/{kind}/{thing['id']}/"
        parts = ("survey_spec", "credentials", "labels", "instance_groups", "success_nodes", "failure_nodes", "always_nodes", "workflow_nodes")
        related = {what: f"{url}{what}/" for what in parts}
        known = {"scm_revision": "0" * 40, "status": "successful"} if kind == "projects" else {}
        return {"url": url, **known, "type": TYPES.get(kind, kind[:-1]), "related": related, "summary_fields": {}, **thing}

    # -- answers: (status, body) ---------------------------------------------------------------------------------------------------------

    def get(self, path: list[str], query: dict):
        if path == ["ping"]:
            return 200, {}
        kind = path[0]
        if len(path) == 1:
            kinds = TYPES if kind == "unified_job_templates" else [kind]
            found = [thing for each in kinds for thing in self.stored.get(each, {}).values() if _matches(thing, query)]
            return 200, {"count": len(found), "next": None, "results": found}
        number = int(path[1])
        if kind == "workflow_approval_templates":
            return 200, self.approvals[number]
        if len(path) == 2:
            thing = self.stored.get(kind, {}).get(number)
            return (200, thing) if thing else (404, {})
        if path[2] == "survey_spec":
            return 200, self.surveys.get((kind, number), {})
        linked = [{"id": other} for other in sorted(self.linked(kind, number, path[2]))]
        return 200, {"count": len(linked), "next": None, "results": linked}

    def post(self, path: list[str], body: dict):
        self.changes += 1
        kind = path[0]
        if len(path) == 1:
            bad = [field for field, of in REFERENCES.items() if body.get(field) is not None and int(body[field]) not in self.stored.get(of, {})]
            if bad or ("name" in body and body["name"] in self.named(kind)):
                return 400, {"detail": f"bad {bad or 'name'}"}
            self.add(kind, **body)
            return 201, self.stored[kind][self._last]
        number = int(path[1])
        if path[2] == "survey_spec":
            self.surveys[kind, number] = body
            return 200, {}
        if path[2] == "create_approval_template":
            self._last += 1
            url = f"/api/v2/workflow_approval_templates/{self._last}/"
            self.approvals[self._last] = {"id": self._last, "url": url, "type": "workflow_approval_template", "related": {}, **body}
            self.stored[kind][number]["related"]["unified_job_template"] = url
            return 201, self.approvals[self._last]
        links = self.associations.setdefault((kind, number, path[2]), set())
        (links.discard if body.get("disassociate") else links.add)(body["id"])
        return 204, None

    def patch(self, path: list[str], body: dict):
        self.changes += 1
        self.stored[path[0]][int(path[1])].update(body)
        return 200, self.stored[path[0]][int(path[1])]


def _matches(thing: dict, query: dict) -> bool:
    for field, wanted in query.items():
        if field in ("or__id", "page_size", "order_by"):
            continue
        name = field.removeprefix("or__")
        if str(thing.get(name, thing.get("identifier") if name == "identifier" else None)) != wanted:
            return False
    return True


class _Handler(http.server.BaseHTTPRequestHandler):
    controller: Controller

    def log_message(self, *arguments):  # a test's output is not a log
        pass

    def _serve(self):
        parsed = urllib.parse.urlsplit(self.path)
        path = [part for part in parsed.path.removeprefix("/api/v2/").split("/") if part]
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        if self.headers.get("Authorization") != "Bearer a-token":
            status, answer = 401, {}
        elif self.command == "GET":
            status, answer = self.controller.get(path, dict(urllib.parse.parse_qsl(parsed.query)))
        else:
            status, answer = getattr(self.controller, self.command.lower())(path, body)
        sent = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_POST = do_PATCH = _serve
