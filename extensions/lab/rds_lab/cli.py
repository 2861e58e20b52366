# Copyright: the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the lab."""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

from . import daemon
from . import fleet as fleets
from .daemon import LabError
from .daemon import Options
from .servers.pristine import CHECKOUT
from .servers.spawn import is_alive
from .servers.spawn import memory_of
from .writer import Writer
from .writer import write_report

# Long enough not to look like something that could occur in other output by chance: Ansible masks every occurrence of a secret.
ACCESS_KEY = "AKIALABLABLABLABLAB0"
SECRET_KEY = "lab-secret-access-key-0123456789abcdefgh"
PASSWORD_VARIABLE = "RDS_LAB_PASSWORD"
CA_VARIABLE = "RDS_LAB_CA_CERT"
APPLICATION_VARIABLE = "RDS_LAB_APPLICATION_PASSWORD"


def main(arguments: list[str] | None = None) -> int:
    """The exit status of a command."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except (LabError, fleets.FleetError) as error:
        print(f"rds_lab: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rds_lab", description="A strict double of Amazon RDS, with real database servers behind the endpoints.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--port", type=int, default=int(os.environ.get("RDS_LAB_PORT", "5555")), help="of the API on 127.0.0.1 (5555)")
    place.add_argument("--directory", type=pathlib.Path, help="holds the data of this lab (.cache/lab/PORT of the checkout)")

    start = commands.add_parser("start", parents=[place], help="start a lab; returns when everything is ready")
    start.add_argument("--fleet", default="prod", help="a fleet file, the name of one that the lab ships, or captured describe-db-instances JSON (prod)")
    start.add_argument("--timescale", type=float, default=60.0, help="seconds of AWS's time in a second (60)")
    start.add_argument("--engines", choices=("on", "off"), default="on", help="real database servers (on)")
    start.add_argument("--consistency-window", type=float, metavar="SECONDS", help="how old what a describe shows may be, in AWS's time (5)")
    start.add_argument("--foreground", action="store_true", help="stay; Ctrl-C ends the lab")
    start.set_defaults(command=_start)

    for name, command, text in (
        ("stop", _stop, "stop the lab; nothing is left of it"),
        ("status", _status, "show the instances"),
        ("reset", _reset, "stop the lab and start it as it was started"),
        ("env", _env, "print what a shell has to export to use the lab"),
        ("inventory", _inventory, "print an inventory of the fleet's primaries"),
    ):
        commands.add_parser(name, parents=[place], help=text).set_defaults(command=command)

    write = commands.add_parser("write", help="be an application that writes, and prove that nothing is lost")
    write.add_argument("--name", required=True, help="the host name to write to, resolved at each connect")
    write.add_argument("--port", type=int, help="default: that of the engine")
    write.add_argument("--engine", default="mysql", choices=("mariadb", "mysql", "postgres"), help="the kind of server behind the name (mysql)")
    write.add_argument("--user", default="application")
    write.add_argument("--password-env", default=APPLICATION_VARIABLE, help=f"the environment variable with the password ({APPLICATION_VARIABLE})")
    write.add_argument("--database", default="app")
    write.add_argument("--workers", type=int, default=4)
    write.add_argument("--interval", type=float, default=0.02, help="seconds between two writes of a worker (0.02)")
    until = write.add_mutually_exclusive_group(required=True)
    until.add_argument("--seconds", type=float, help="write for so long")
    until.add_argument("--until-file", type=pathlib.Path, help="write until this file exists")
    write.add_argument("--report", type=pathlib.Path, help="a JSON file, written every second and at the end")
    write.set_defaults(command=_write)
    return parser


def _directory(options: argparse.Namespace) -> pathlib.Path:
    return (options.directory or CHECKOUT / ".cache" / "lab" / str(options.port)).resolve()


# -- start and stop ----------------------------------------------------------------------------------------------------

def _start(options: argparse.Namespace) -> int:
    wanted = Options(fleet=str(fleets.find(options.fleet)), directory=str(_directory(options)), port=options.port, timescale=options.timescale,
                     engines=options.engines == "on", consistency=options.consistency_window)
    fleets.read(wanted.fleet)  # a mistake in it shows at once
    if options.foreground:
        daemon.serve(wanted, _say, lambda: None)
        return 0
    return _detach(wanted)


def _say(line: str) -> None:
    print(line, flush=True)


def _detach(wanted: Options) -> int:
    """Start the lab as a process of its own and pass on what it says until it is ready."""
    directory = pathlib.Path(wanted.directory)
    if daemon.is_running(directory):
        raise LabError(f"A lab is running in {directory}: stop or reset it.")
    directory.mkdir(parents=True, exist_ok=True)
    receiver, sender = os.pipe()
    with open(directory / daemon.LOG, "ab") as log:
        package = pathlib.Path(__file__).resolve().parents[1]
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys; from rds_lab.cli import daemon_main; sys.exit(daemon_main())", wanted.directory, str(sender)],
            stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[sender], start_new_session=True, cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))})
    os.close(sender)
    process.stdin.write(json.dumps(wanted.__dict__).encode())
    process.stdin.close()
    is_ready = False
    try:
        with open(receiver, encoding="utf-8") as lines:
            for line in lines:
                print(line, end="", flush=True)
                is_ready = is_ready or line.startswith("ready: ")
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait()
        print("\nstopped", file=sys.stderr)
        return 130
    if not is_ready:
        process.wait()
        raise LabError(f"The lab did not start; see {directory / daemon.LOG}.")
    return 0


def daemon_main() -> int:
    """The life of a lab that runs on its own; its options come by standard input, progress goes to an inherited descriptor."""
    wanted = Options(**json.load(sys.stdin))
    output = open(int(sys.argv[2]), "w", encoding="utf-8", buffering=1)

    def say(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
        if not output.closed:
            with contextlib.suppress(BrokenPipeError):
                output.write(f"{line}\n")

    try:
        daemon.serve(wanted, say, output.close)
    except Exception as error:
        say(f"rds_lab: {error}")
        if not isinstance(error, (LabError, fleets.FleetError)):
            raise
        return 1
    return 0


def _stop(options: argparse.Namespace) -> int:
    directory = _directory(options)
    if not daemon.is_running(directory):
        if directory.exists():
            daemon.clean_up(directory)
        print("no lab was running")
        return 0
    state = daemon.state_of(directory) or _wait_for_state(directory)
    os.kill(state["pid"], signal.SIGTERM)
    deadline = time.monotonic() + 60
    while daemon.is_running(directory) or is_alive(state["pid"]):
        if time.monotonic() > deadline:
            os.kill(state["pid"], signal.SIGKILL)
            time.sleep(0.5)
            daemon.clean_up(directory)
            break
        time.sleep(0.05)
    print("stopped")
    return 0


def _wait_for_state(directory: pathlib.Path) -> dict:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        state = daemon.state_of(directory)
        if state:
            return state
        time.sleep(0.05)
    raise LabError(f"A lab holds {directory} but does not say which process it is.")


def _reset(options: argparse.Namespace) -> int:
    wanted = Options.load(_directory(options))
    _stop(options)
    return _detach(wanted)


def _running(options: argparse.Namespace) -> dict:
    state = daemon.state_of(_directory(options))
    if state is None or not state.get("ready"):
        raise LabError("No lab is running" + (" here yet: it is starting." if state else f" on port {options.port}: python -m rds_lab start"))
    return state


# -- looking -----------------------------------------------------------------------------------------------------------

def _environment(state: dict) -> dict[str, str]:
    authority = {CA_VARIABLE: state["ca_cert"]} if state.get("ca_cert") else {}
    return {**authority,
            "AWS_ENDPOINT_URL": state["url"], "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_DEFAULT_REGION": state["region"],
            "AWS_REGION": state["region"], PASSWORD_VARIABLE: state["master_password"], APPLICATION_VARIABLE: state["application"]["password"]}


def _env(options: argparse.Namespace) -> int:
    for name, value in _environment(_running(options)).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _inventory(options: argparse.Namespace) -> int:
    state = _running(options)
    users = {host["user"] for host in state["hosts"]}
    print("---\n# The fleet of the lab. The password comes from the environment: eval \"$(python -m rds_lab env)\"")
    print(f"{state['group']}:\n  hosts:")
    for host in state["hosts"]:
        own = [f"rds_encryption_login_user: {json.dumps(host['user'])}"] if len(users) > 1 else []
        print(f"    {host['name']}:" + (f" {{{', '.join(own)}}}" if own else ""))
    print("  vars:\n    ansible_connection: local")
    print("    ansible_python_interpreter: \"{{ ansible_playbook_python }}\"")
    if len(users) == 1:
        print(f"    rds_encryption_login_user: {json.dumps(users.pop())}")
    if state.get("ca_cert"):
        print(f"    rds_encryption_login_ca_cert: {json.dumps(state['ca_cert'])}")
    print(f"    rds_encryption_login_password: \"{{{{ lookup('ansible.builtin.env', '{PASSWORD_VARIABLE}') }}}}\"")
    return 0


def _status(options: argparse.Namespace) -> int:
    state = _running(options)
    import boto3

    client = boto3.client("rds", endpoint_url=state["url"], region_name=state["region"], aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY)
    servers = _servers(_directory(options))
    rows = [("INSTANCE", "STATUS", "ENCRYPTED", "REPLICATES FROM", "ENDPOINT", "ADDRESS", "MEMORY")]
    total = 0
    for page in client.get_paginator("describe_db_instances").paginate():
        for instance in page["DBInstances"]:
            endpoint = instance.get("Endpoint", {})
            address = _address(endpoint.get("Address"))
            pid = servers.get(instance["DbiResourceId"], {}).get("pid")
            memory = memory_of(pid)["rss"] // 1024 if pid else 0
            total += memory
            rows.append((
                instance["DBInstanceIdentifier"], instance["DBInstanceStatus"], instance["KmsKeyId"].rpartition("/")[2] if instance.get("KmsKeyId") else "no",
                instance.get("ReadReplicaSourceDBInstanceIdentifier", ""), f"{endpoint['Address']}:{endpoint['Port']}" if endpoint.get("Address") else "-",
                address, f"{memory} MB" if memory else "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    print(f"\n{state['url']}  fleet {state['fleet']}  timescale {state['timescale']:g}  process {state['pid']}  servers {total} MB")
    return 0


def _servers(directory: pathlib.Path) -> dict[str, dict]:
    result = {}
    for path in (directory / "servers").glob("*/server.json"):
        with contextlib.suppress(OSError, ValueError):
            facts = json.loads(path.read_text(encoding="utf-8"))
            result[facts["resource_id"]] = facts
    return result


def _address(name: str | None) -> str:
    try:
        return socket.gethostbyname(name) if name else "-"
    except OSError:
        return "-"


# -- writing -----------------------------------------------------------------------------------------------------------

def _write(options: argparse.Namespace) -> int:
    password = os.environ.get(options.password_env)
    if password is None:
        raise LabError(f"The environment has no {options.password_env}.")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_unused: stopping.set())
    writer = Writer(options.name, port=options.port, user=options.user, password=password, database=options.database, workers=options.workers,
                    interval=options.interval, engine=options.engine)
    try:
        writer.start()
    except TimeoutError as error:
        raise LabError(str(error)) from error
    deadline = time.monotonic() + options.seconds if options.seconds is not None else None
    while not stopping.is_set():
        if options.report:
            write_report(options.report, writer.report())
        if deadline is not None and time.monotonic() >= deadline or options.until_file is not None and options.until_file.exists():
            break
        stopping.wait(min(1.0, max(0.05, deadline - time.monotonic())) if deadline is not None else 0.3)
    writer.stop()
    try:
        report = writer.verify()
    except Exception as error:
        report = {**writer.report(), "ok": False, "problem": f"the rows could not be read: {error}"}
    if options.report:
        write_report(options.report, report)
    print(f"{report['name']}: {report['acknowledged']} writes acknowledged, {report.get('missing', '?')} missing, {report.get('doubled', '?')} doubled, "
          f"outage {report['outage_seconds']:.1f} s")
    return 0 if report["ok"] else 1
