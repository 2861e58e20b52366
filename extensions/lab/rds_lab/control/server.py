# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP server: RDS here, every other service by moto, and the lab's own endpoints under /_lab/."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import threading
import traceback

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from . import dependents, faults, wire
from .admin import Admin
from .errors import RdsError
from .registry import Call, is_mutating

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request")


class _Handler(MotoRequestHandler):
    def log_request(self, *_args, **_kwargs):
        pass


class Cut(ConnectionError):
    """The connection was dropped on purpose; werkzeug lets such a request end without an answer."""


class Server:
    """A server in threads of its own."""

    def __init__(self, plane, host: str, port: int):
        self.plane = plane
        self.admin = Admin(plane)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(host, port, self._application, threaded=True, request_handler=_Handler)
        self._server.daemon_threads = True
        self.host, self.port = host, self._server.server_port
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="rds-lab", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering and end all transitions."""
        self._server.shutdown()
        self._thread.join(timeout=10)
        self._server.server_close()
        self.plane.close()

    def _application(self, environ, start_response):
        path = environ.get("PATH_INFO", "")
        body = _body(environ)
        environ["wsgi.input"] = io.BytesIO(body)
        if path.startswith("/_lab/"):
            status, result = self.admin.answer(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), body)
            return _respond(start_response, status, "application/json", json.dumps(result, default=str, indent=1).encode())
        scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        region, service = (scope[1], scope[2]) if scope else (self.plane.settings.default_region, "")
        # moto's own pages go to moto; a query request of RDS's version is for RDS even when it is not signed.
        if service == "rds" or not service and b"Version=2014-10-31" in body + environ.get("QUERY_STRING", "").encode():
            return self._rds(environ, start_response, region, body)
        return self._neighbour(environ, start_response, region, service, body)

    # RDS

    def _rds(self, environ, start_response, region: str, body: bytes):
        parameters = wire.form(body, environ.get("QUERY_STRING", ""))
        operation = parameters.get("Action", "")
        request_id = wire.new_request_id()
        agent = _agent(environ)
        request: dict = {}
        cut_after = False
        try:
            if operation not in wire.model().operation_names:
                raise RdsError("InvalidAction", f"The action {operation or '(none)'} is not valid for this web service.")
            request = wire.parse(operation, parameters)
            call = Call(operation, region, request, self.plane.clock.now())
            fault = self.plane.faults.take("rds", operation, request)
            if fault is not None:
                cut_after = self._befall(fault, call, environ)
            result = self.plane.answer(call)
            if fault is not None and fault["kind"] == "not_found_after_create":
                for record in call.touched:
                    setattr(record, "hidden_reads_later" if getattr(record, "reserved", "") else "hidden_reads", fault.get("reads", 3))
            text, status, outcome = wire.answer(operation, result, request_id), 200, "ok"
        except Cut:
            self.plane.calls.add("rds", region, operation, request, "cut before", 0, agent)
            raise
        except RdsError as refused:
            text, status, outcome = wire.refusal(refused, request_id), refused.status, f"{refused.code}: {refused.message}"
        except Exception as problem:
            trace = traceback.format_exc()
            with self.plane.lock:
                self.plane.store.problems.append({"record": "", "doing": operation, "problem": trace})
            broken = RdsError("LabDefect", f"The lab failed: {type(problem).__name__}: {problem}", 500)
            text, status, outcome = wire.refusal(broken, request_id), 500, trace
        self.plane.calls.add("rds", region, operation or "(none)", request, outcome + (", cut after" if cut_after else ""), status, agent)
        if cut_after:
            self._hold("hold_after", fault, "rds", operation)
            _cut(environ)
        return _respond(start_response, status, "text/xml", text, request_id)

    def _befall(self, fault: dict, call: Call, environ) -> bool:
        """Apply a fault to a call; whether the connection is to be cut after the effect."""
        refused = faults.refusal(fault, call.operation)
        if refused is not None:
            raise refused
        if fault["kind"] in ("cut_before", "hold_before"):
            self._hold("hold_before", fault, "rds", call.operation)
            _cut(environ)
        if fault["kind"] == "stale":
            call.stale = True
        if fault["kind"] in ("terminal_status", "fails", "ends_with_error_event"):
            call.outcome = fault
        return fault["kind"] in ("cut_after", "hold_after")

    def _hold(self, kind: str, fault: dict, service: str, operation: str) -> None:
        if fault["kind"] == kind:
            self.plane.faults.hold(service, operation, kind.removeprefix("hold_"))

    # Everything else

    def _neighbour(self, environ, start_response, region: str, service: str, body: bytes):
        operation = _operation(environ, body)
        fault = self.plane.faults.take(service, operation, {}) if service else None
        parameters = _parameters(environ, body)
        agent = _agent(environ)
        if fault is not None and fault["kind"] not in ("cut_after", "hold_after"):
            refused = faults.refusal(fault, operation)
            if refused is None:
                self._hold("hold_before", fault, service, operation)
                self.plane.calls.add(service, region, operation, parameters, "cut before", 0, agent)
                _cut(environ)
            self.plane.calls.add(service, region, operation, parameters, f"{refused.code}: {refused.message}", refused.status, agent)
            return _refuse(environ, start_response, refused)
        if service == "backup":
            found = dependents.backup_answer(self.plane, region, environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), body)
            if found is not None:
                self.plane.calls.add(service, region, operation, parameters, "ok" if found[0] < 400 else "refused", found[0], agent)
                return _respond(start_response, found[0], "application/json", json.dumps(found[1]).encode())
        if service == "kms" and operation == "DescribeKey" and self._unborn_service_key(region, parameters):
            self.plane.calls.add(service, region, operation, parameters, "NotFoundException", 400, agent)
            return _refuse(environ, start_response, RdsError("NotFoundException", f"Alias {parameters['KeyId']} is not found.", 400))
        seen: list = []

        def note(status, headers, *rest):
            seen.append(int(status.split()[0]))
            return start_response(status, headers, *rest)

        if service == "kms":
            _name_key_by_id(environ, parameters)
        try:
            with self.plane.lock if is_mutating(operation) else contextlib.nullcontext():
                answer = self._moto(environ, note)
                if service == "iam":
                    self.plane.neighbours.notice_roles()
        except Exception as problem:
            self.plane.calls.add(service, region, operation, parameters, traceback.format_exc(), 500, agent)
            text = f"moto failed: {type(problem).__name__}: {problem}"
            return _refuse(environ, start_response, RdsError("InternalFailure", text))
        if service:
            status = seen[0] if seen else 0
            self.plane.calls.add(service, region, operation, parameters, "ok" if status < 400 else "refused", status, agent)
        if fault is not None:
            self._hold("hold_after", fault, service, operation)
            _cut(environ)
        return answer

    def _unborn_service_key(self, region: str, parameters: dict) -> bool:
        """Whether the key aws/rds is asked for before RDS ever used it; moto would make it."""
        return str(parameters.get("KeyId", "")).endswith("alias/aws/rds") and (
            self.plane.neighbours.find_key(region, "alias/aws/rds") is None)


def _body(environ) -> bytes:
    """All that the client announced. A client that died while it sent (head and body are two writes of it) has asked for nothing."""
    announced = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(announced)
    if len(body) < announced:
        raise Cut(f"{len(body)} of {announced} octets came")
    return body


def _agent(environ) -> str:
    """Who calls: the User-Agent, and the id of the access key, by which the users of one lab can be told apart."""
    key = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    return environ.get("HTTP_USER_AGENT", "") + (f" key/{key[1]}" if key else "")


def _operation(environ, body: bytes) -> str:
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return target.rpartition(".")[2]
    action = wire.form(body if body[:7] == b"Action=" or b"&Action=" in body else b"", environ.get("QUERY_STRING", "")).get("Action")
    return action or f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"


def _parameters(environ, body: bytes) -> dict:
    if environ.get("HTTP_X_AMZ_TARGET"):
        try:
            found = json.loads(body or b"{}")
            return found if isinstance(found, dict) else {}
        except ValueError:
            return {}
    if b"Action=" in body:
        return {name: text for name, text in wire.form(body, "").items() if name not in ("Action", "Version")}
    return {}


def _name_key_by_id(environ, parameters: dict) -> None:
    """Some of moto's KMS operations know keys by id only, where KMS takes an ARN too."""
    name = str(parameters.get("KeyId", ""))
    if name.startswith("arn:") and ":key/" in name:
        body = json.dumps({**parameters, "KeyId": name.split(":key/")[1]}).encode()
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))


def _refuse(environ, start_response, refused: RdsError):
    if environ.get("HTTP_X_AMZ_TARGET"):
        text = json.dumps({"__type": refused.code, "message": refused.message}).encode()
        return _respond(start_response, refused.status, "application/x-amz-json-1.1", text)
    if "/backup/aws4_request" in environ.get("HTTP_AUTHORIZATION", ""):    # REST with JSON
        text = json.dumps({"__type": refused.code, "Message": refused.message}).encode()
        return _respond(start_response, refused.status, "application/json", text)
    return _respond(start_response, refused.status, "text/xml", wire.refusal(refused, wire.new_request_id()))


def _cut(environ) -> None:
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
    raise Cut("cut by a fault")


_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 500: "Internal Server Error",
            501: "Not Implemented", 503: "Service Unavailable"}


def _respond(start_response, status: int, kind: str, body: bytes, request_id: str = ""):
    headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
    if request_id:
        headers.append(("x-amzn-RequestId", request_id))
    start_response(f"{status} {_REASONS.get(status, 'Status')}", headers)
    return [body]
