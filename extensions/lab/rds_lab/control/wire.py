# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The query protocol, from botocore's own model of RDS: parse a request, write an answer."""

from __future__ import annotations

import datetime
import functools
import urllib.parse
import uuid
from xml.sax.saxutils import escape

import botocore.session

from .errors import RdsError, missing, value

NAMESPACE = "http://rds.amazonaws.com/doc/2014-10-31/"


@functools.lru_cache(maxsize=1)
def model():
    """botocore's service model of RDS."""
    return botocore.session.get_session().get_service_model("rds")


def members(shape_name: str) -> list:
    """The member names of a structure of the model."""
    return list(model().shape_for(shape_name).members)


def parse(operation: str, parameters: dict) -> dict:
    """A request's flat parameters as the input structure of its operation.

    Members that the model lacks are ignored, as RDS ignores them; required ones are demanded.
    """
    shape = model().operation_model(operation).input_shape
    request = _structure(shape, "", parameters) if shape else {}
    for name in shape.required_members if shape else ():
        if name not in request:
            raise missing(name)
    return request


def _structure(shape, prefix: str, parameters: dict) -> dict:
    result = {}
    for name, member in shape.members.items():
        found = _member(member, prefix + member.serialization.get("name", name), parameters)
        if found is not None:
            result[name] = found
    return result


def _member(shape, key: str, parameters: dict):
    if shape.type_name == "structure":
        if not any(name.startswith(key + ".") for name in parameters):
            return None
        return _structure(shape, key + ".", parameters)
    if shape.type_name == "list":
        return _list(shape, key, parameters)
    if key not in parameters:
        return None
    return _scalar(shape, key, parameters[key])


def _list(shape, key: str, parameters: dict):
    if shape.serialization.get("flattened"):
        stem = key
    else:
        stem = f"{key}.{shape.member.serialization.get('name', 'member')}"
    indexes = {name[len(stem) + 1:].split(".")[0] for name in parameters if name.startswith(stem + ".")}
    if not indexes:
        return [] if key in parameters else None    # an empty list is sent as `Key=`
    return [_member(shape.member, f"{stem}.{index}", parameters) for index in sorted(indexes, key=int)]


def _scalar(shape, key: str, text: str):
    kind = shape.type_name
    if kind == "boolean":
        if text not in ("true", "false"):
            raise RdsError("MalformedInput", f"{text} is not a Boolean value for {key}")
        return text == "true"
    if kind in ("integer", "long"):
        try:
            return int(text)
        except ValueError:
            raise RdsError("MalformedInput", f"{text} is not an integer for {key}") from None
    if kind in ("double", "float"):
        return float(text)
    if kind == "timestamp":
        try:
            moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            raise value(f"{key} is not a timestamp: {text}") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
    return text


def answer(operation: str, result: dict, request_id: str) -> bytes:
    """The XML of an operation's result; members that are absent from it are absent."""
    shape = model().operation_model(operation).output_shape
    body = ""
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", f"{operation}Result")
        body = f"<{wrapper}>{_write_members(shape, result or {})}</{wrapper}>"
    text = (
        f'<{operation}Response xmlns="{NAMESPACE}">{body}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return text.encode()


def refusal(error: RdsError, request_id: str) -> bytes:
    """The XML of an error."""
    side = "Receiver" if error.status >= 500 else "Sender"
    return (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>{side}</Type><Code>{escape(error.code)}</Code>'
        f"<Message>{escape(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def _write_members(shape, data: dict) -> str:
    # Members that an older botocore does not know are left out: its clients could not read them.
    return "".join(
        _write(member, member.serialization.get("name", name), data[name])
        for name, member in shape.members.items()
        if data.get(name) is not None
    )


def _write(shape, tag: str, data) -> str:
    kind = shape.type_name
    if kind == "structure":
        return f"<{tag}>{_write_members(shape, data)}</{tag}>"
    if kind == "list":
        if shape.serialization.get("flattened"):
            return "".join(_write(shape.member, tag, item) for item in data)
        item_tag = shape.member.serialization.get("name", "member")
        return f"<{tag}>{''.join(_write(shape.member, item_tag, item) for item in data)}</{tag}>"
    if kind == "map":
        entries = "".join(
            f"<entry>{_write(shape.key, 'key', name)}{_write(shape.value, 'value', item)}</entry>" for name, item in data.items()
        )
        return f"<{tag}>{entries}</{tag}>"
    return f"<{tag}>{escape(_text(kind, data))}</{tag}>"


def _text(kind: str, data) -> str:
    if kind == "boolean":
        return "true" if data else "false"
    if kind == "timestamp":
        moment = datetime.datetime.fromisoformat(data.replace("Z", "+00:00")) if isinstance(data, str) else data
        return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return str(data)


def form(body: bytes, query: str) -> dict:
    """The parameters of a query request, whether sent as a form or in the address."""
    pairs = urllib.parse.parse_qsl(query, keep_blank_values=True)
    pairs += urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(pairs)


def new_request_id() -> str:
    return str(uuid.uuid4())
