# Copyright (c) the dbre.rds_encryption contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""awx/setup.yml puts everything into a controller, once; its project runs the collection's playbooks."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig

import pytest
import yaml
from scenario_awx import Controller
from scenario_play import PROGRAM, TOP


@pytest.fixture
def controller():
    made = Controller()
    yield made
    made.close()


def setup(controller, tmp_path) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "CONTROLLER_", "TOWER_"))}
    environment |= {"CONTROLLER_HOST": controller.url, "CONTROLLER_OAUTH_TOKEN": "a-token", "ANSIBLE_HOME": str(tmp_path), "ANSIBLE_NOCOLOR": "1",
                    "ANSIBLE_COLLECTIONS_PATH": os.environ.get("ANSIBLE_COLLECTIONS_PATH") or sysconfig.get_paths()["purelib"]}
    command = [str(PROGRAM), str(TOP / "awx" / "setup.yml"), "-e", "awx_ee_image=registry.example.org/ee:1", "-e", "awx_credential_audit=reader",
               "-e", "awx_project_scm_url=https://git.example.org/rds.git", "-e", "awx_credential_encrypt=encrypter"]
    return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)


def test_everything_is_made_once(controller, tmp_path):
    controller.add("credentials", name="reader")
    controller.add("credentials", name="encrypter")
    first = setup(controller, tmp_path)
    assert first.returncode == 0, first.stdout[-4000:] + first.stderr[-1000:]
    templates = controller.named("job_templates")
    assert {name.removeprefix("RDS encryption - "): template["playbook"] for name, template in templates.items()} == {
        "audit": "audit.yml", "plan": "plan.yml", "encrypt": "encrypt.yml", "roll back": "rollback.yml", "retire": "retire.yml"}
    credentials = {thing["id"]: thing["name"] for thing in controller.stored["credentials"].values()}
    encrypt = templates["RDS encryption - encrypt"]
    assert {credentials[number] for number in controller.linked("job_templates", encrypt["id"], "credentials")} == {"encrypter"}
    assert encrypt["forks"] >= 50 and encrypt["timeout"] == 0 and encrypt["allow_simultaneous"] is False
    assert "rds_encryption_kms_key_id" in {question["variable"] for question in controller.surveys["job_templates", encrypt["id"]]["spec"]}
    injected = controller.named("credential_types")["RDS encryption - database login"]["injectors"]["extra_vars"]
    assert injected["rds_encryption_login_password"] == "{{ password }}", "a template of the controller"
    nodes = {node["identifier"]: node for node in controller.stored["workflow_job_template_nodes"].values()}
    follows = {name: [other for other, thing in nodes.items() if thing["id"] in controller.linked("workflow_job_template_nodes", node["id"], "success_nodes")]
               for name, node in nodes.items()}
    assert follows == {"plan": ["approve-encryption"], "approve-encryption": ["encrypt"], "encrypt": ["approve-retirement"],
                       "approve-retirement": ["retire"], "retire": []}
    assert len(controller.approvals) == 2

    before = controller.changes
    second = setup(controller, tmp_path)
    assert second.returncode == 0, second.stdout[-4000:]
    assert re.search(r"changed=0 ", second.stdout), second.stdout[-1500:]
    assert controller.changes == before


def test_surveys_ask_for_variables_that_exist():
    play = yaml.load((TOP / "awx" / "setup.yml").read_text(), Loader=_Loader)[0]
    known = set(yaml.safe_load((TOP / "roles/rds_encryption/meta/argument_specs.yml").read_text())["argument_specs"]["read"]["options"])
    surveys = [play["vars"]["awx_questions_encrypt"], *(template["survey"] for template in play["vars"]["awx_templates"])]
    asked = {question["variable"] for survey in surveys if isinstance(survey, list) for question in survey}
    assert len(asked) >= 6 and asked <= known, asked - known
    for template in play["vars"]["awx_templates"]:
        wrapper = yaml.safe_load((TOP / "awx" / "project" / template["playbook"]).read_text())
        name = wrapper[0]["ansible.builtin.import_playbook"].removeprefix("dbre.rds_encryption.")
        assert (TOP / "playbooks" / f"{name}.yml").is_file(), f"{template['playbook']} imports {name}"


class _Loader(yaml.SafeLoader):
    """Reads playbooks: !unsafe is Ansible's."""


_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))
