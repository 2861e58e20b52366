# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: names and behaviour may change in any release.

"""Make the accounts and settings of one server equal to another's: read, decide, act, read again."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql import Server
from ansible_collections.dbre.rds_encryption.plugins.module_utils._adapter.mysql_accounts import (
    AccountWriter,
    read_account_tables,
    read_configuration,
    read_objects,
    read_preconditions,
    set_configuration,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.database_login import MissingInstanceError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._jobs.mysql_server import open_server, see_that_they_differ, server_dict
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.accounts import accounts_from, display_name, forgotten_grants
from ansible_collections.dbre.rds_encryption.plugins.module_utils._model.errors import EncryptionError, RefusedError, StatementError
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.account_rights import Rights, rights_from, roles_named
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.account_sql import UNLOCK, list_together
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.accounts import (
    EQUAL,
    MISSING,
    NOT_RESTORABLE,
    UNUSABLE,
    Rules,
    counts,
    decide,
    decision_as_dict,
    diff_lines,
    guard_list,
    in_order,
    named_objects,
    precondition_differences,
    remarks,
)
from ansible_collections.dbre.rds_encryption.plugins.module_utils._plan.configuration import plan_configuration
from ansible_collections.dbre.rds_encryption.plugins.module_utils._run.account_sync import Sender, carry_out

_CANNOT_CONNECT = (2002, 2003, 2005)


@dataclass
class _Side:
    """One server and what was read from it."""

    server: Server
    accounts: dict
    preconditions: dict
    rights: Rights
    forgotten: list


def sync(context) -> dict:
    """The target's accounts and settings equal the source's, or each one that does not is named with its reason."""
    params = context.params
    with ExitStack() as opened:
        source_server = opened.enter_context(open_server(context, params["source"], "source"))
        target_server, predicted = _open_target(context)
        opened.enter_context(target_server)
        if source_server.facts.family != target_server.facts.family:
            raise RefusedError(
                f"{source_server.label} is {source_server.facts.family}, {target_server.label} is {target_server.facts.family}: "
                "accounts of one family mean nothing to the other."
            )
        baseline = None
        if params["baseline"]:
            with open_server(context, params["baseline"], "baseline") as baseline_server:
                baseline = accounts_from(read_account_tables(baseline_server), baseline_server.facts)
        if not context.check_mode:
            target_server = opened.enter_context(AccountWriter.in_place_of(target_server))
        if not predicted:
            see_that_they_differ(source_server, target_server, params["target"])
        return _Sync(context, _read(source_server), _read(target_server), baseline, predicted).run()


def _open_target(context) -> tuple[Server, bool]:
    """The target, or in check mode the server whose accounts it will start with."""
    params = context.params
    instead = params["predict_from"] if context.check_mode else None
    try:
        return open_server(context, params["target"], "target"), False
    except MissingInstanceError:
        if not instead:
            raise
    except StatementError as e:
        if not instead or e.code not in _CANNOT_CONNECT:
            raise
    return open_server(context, instead, "predicted target"), True


def _read(server: Server) -> _Side:
    tables = read_account_tables(server)
    preconditions = read_preconditions(server)
    accounts = accounts_from(tables, server.facts)
    rights = rights_from(preconditions["grants"], tables, server.facts)
    return _Side(server, accounts, preconditions, rights, forgotten_grants(tables, accounts))


class _Sync:
    def __init__(self, context, source: _Side, target: _Side, baseline: dict | None, predicted: bool):
        self.context = context
        self.params = context.params
        self.source = source
        self.target = target
        self.baseline = baseline
        self.predicted = predicted
        self.problems: list[dict] = []
        self.not_restorable: list[dict] = []
        self.remarks: list[str] = precondition_differences(source.preconditions["variables"], target.preconditions["variables"])

    def run(self) -> dict:
        decisions = self._decide()
        statements = in_order(decisions)
        settings, setting_problems = self._plan_settings()
        self._look_at_what_is_left_out(decisions)
        self.remarks += [*self.source.forgotten, *remarks(decisions)]
        self.problems += [dict(setting=name, problem=text) for name, text in setting_problems]
        outcomes = []
        if not self.context.check_mode:
            outcomes = self._apply(statements, decisions)
            self._apply_settings(settings)
        result = self._result(decisions, statements, outcomes, settings)
        if self.problems and self.params["fail_on_problem"]:
            raise EncryptionError(
                f"{self.target.server.label}: {_in_words(self.problems)}",
                done="everything else was done; accounts that could do too much are locked."
                if not self.context.check_mode
                else "nothing was changed (check mode).",
                next_step="look at problems in the result; exclude_users leaves an account out, fail_on_problem: false accepts the differences.",
                **result,
            )
        return result

    # -- accounts ----------------------------------------------------------------------------------------------------------------------

    def _decide(self):
        params, source, target = self.params, self.source, self.target
        variables, validates = target.preconditions["variables"], target.preconditions["validates_passwords"]
        instances = [server.instance for server in (source.server, target.server) if server.instance]
        rules = Rules(
            guarded=guard_list(
                params["exclude_users"],
                [instance.master_user for instance in instances],
                [source.server.facts.current_user, target.server.facts.current_user],
            ),
            only=tuple(params["users"]) if params["users"] is not None else None,
            prune=params["prune"],
            plugins=target.preconditions["plugins"],
            objects=frozenset(read_objects(target.server, *named_objects(source.accounts, target.accounts))),
            rights=target.rights,
            partial_revokes=variables.get("partial_revokes", "ON") == "ON",
            mandatory_roles=roles_named(variables.get("mandatory_roles")),
            takes_hashes=not (validates and variables.get("strict_password_validation") == "ON"),
            takes_empty_passwords=not validates,
        )
        return decide(source.accounts, target.accounts, target.server.facts, rules, self.baseline)

    def _look_at_what_is_left_out(self, decisions):
        """Each difference that stays has its reason; which of them fail the run is the operator's choice, but for accounts of no use."""
        fatal = {UNUSABLE}
        if self.params["fail_on_not_restorable"]:
            fatal.add(NOT_RESTORABLE)
        if self.params["fail_on_missing_object"]:
            fatal.add(MISSING)
        quiet = 0
        for decision in decisions:
            account = display_name(decision.key)
            for text, kind in decision.left_out:
                self.not_restorable.append(dict(account=account, difference=text, kind=kind))
                if kind in fatal:
                    self.problems.append(dict(account=account, problem=text))
                elif kind == MISSING:
                    self.remarks.append(f"{account}: {text}")
                else:
                    quiet += 1
        if quiet:
            texts = [f"{each['account']}: {each['difference']}" for each in self.not_restorable if each["kind"] == NOT_RESTORABLE]
            self.context.warn(f"{self.target.server.label}: {quiet} difference(s) of accounts cannot be made equal. {_some_of(texts)}")

    def _apply(self, statements, decisions):
        if not statements:
            return []
        server = self.target.server
        label = server.label
        self.context.progress(f"{label}: {len(statements)} account statements")

        def is_read_only():
            return str(server.rows("SELECT @@global.read_only AS v")[0]["v"]).upper() not in ("0", "OFF")

        sender = Sender(
            send=server.send, existing=server.existing, is_read_only=is_read_only, list_together=list_together, unlock_phase=UNLOCK
        )
        outcomes = carry_out(statements, sender, lambda line: self.context.progress(f"{label}: {line}"))
        self.problems += [
            dict(account=display_name(o.statement.key), problem=o.problem, statement=o.statement.sql.masked) for o in outcomes if o.problem
        ]
        self._confirm(decisions)
        return outcomes

    def _confirm(self, decisions):
        """Every account that was written is read again; one that is not what it should be is a problem."""
        after = accounts_from(read_account_tables(self.target.server), self.target.server.facts)
        blamed = {problem.get("account") for problem in self.problems}
        for decision in decisions:
            name = display_name(decision.key)
            if decision.statements and after.get(decision.key) != decision.wanted and name not in blamed:
                is_there = after.get(decision.key)
                fields = ["existence"]
                if is_there and decision.wanted:
                    fields = [f"should have {line.strip()}" for line in diff_lines(decision.wanted, is_there)[1:]]
                    fields += [f"has {line.strip()}" for line in diff_lines(is_there, decision.wanted)[1:]]
                self.problems.append(dict(account=name, problem=f"was written, but reads differently: {'; '.join(fields)}"))

    # -- settings ----------------------------------------------------------------------------------------------------------------------

    def _plan_settings(self):
        if not self.params["settings"] and not self.params["configuration"]:
            return [], []
        source = read_configuration(self.source.server) if self.params["settings"] else {}
        target = read_configuration(self.target.server)
        if target is None or source is None:
            if self.params["configuration"]:
                return [], [(name, "the server has no mysql.rds_set_configuration") for name in self.params["configuration"]]
            self.remarks.append("settings of mysql.rds_show_configuration were left out: the server has no such procedure")
            return [], []
        return plan_configuration(source, target, self.params["configuration"] or {})

    def _apply_settings(self, settings):
        if not settings:
            return
        for change in settings:
            try:
                set_configuration(self.target.server, change["name"], change["after"])
            except StatementError as e:
                self.problems.append(dict(setting=change["name"], problem=e.problem))
        after = read_configuration(self.target.server) or {}
        failed = {problem.get("setting") for problem in self.problems}
        for change in settings:
            if after.get(change["name"]) != change["after"] and change["name"] not in failed:
                self.problems.append(dict(setting=change["name"], problem=f"was set to {change['after']}, but reads {after.get(change['name'])}"))

    # -- result ------------------------------------------------------------------------------------------------------------------------

    def _result(self, decisions, statements, outcomes, settings) -> dict:
        changed = bool(settings) or (any(outcome.done for outcome in outcomes) if outcomes else bool(statements) and self.context.check_mode)
        masked = {id(statement): statement.sql.masked for statement in statements}
        result = dict(
            changed=changed,
            source=server_dict(self.source.server),
            target=server_dict(self.target.server),
            predicted=self.predicted,
            counts=counts(decisions),
            accounts=[decision_as_dict(decision, masked) for decision in decisions if decision.action != EQUAL],
            statements=list(masked.values()),
            settings=settings,
            problems=self.problems,
            not_restorable=self.not_restorable,
            remarks=self.remarks,
        )
        if self.context.diff_mode:
            before, after = [], []
            for decision in decisions:
                if decision.statements:
                    before += diff_lines(decision.target, decision.wanted)
                    after += diff_lines(decision.wanted, decision.target)
            before += [f"setting {change['name']}: {change['before']}" for change in settings]
            after += [f"setting {change['name']}: {change['after']}" for change in settings]
            header = f"accounts of {self.target.server.label}"
            result["diff"] = dict(
                before="".join(f"{line}\n" for line in before),
                after="".join(f"{line}\n" for line in after),
                before_header=header,
                after_header=header,
            )
        return result


def _in_words(problems: list[dict]) -> str:
    texts = [f"{problem.get('account') or 'setting ' + problem['setting']}: {problem['problem']}" for problem in problems]
    return f"{len(texts)} problem(s) with accounts or settings. {_some_of(texts)}"


def _some_of(texts: list[str], at_most: int = 5) -> str:
    more = f"; and {len(texts) - at_most} more" if len(texts) > at_most else ""
    return f"{'; '.join(texts[:at_most])}{more}."
