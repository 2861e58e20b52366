"""Sphinx configuration of the documentation site; tools/docsite.py lays out its sources and runs it (``make site``)."""

from __future__ import annotations

import pathlib
import re

import yaml
from docutils import nodes

TOP = pathlib.Path(__file__).resolve().parents[2]
GALAXY = yaml.safe_load((TOP / "galaxy.yml").read_text(encoding="utf-8"))

project = f"{GALAXY['namespace']}.{GALAXY['name']}"
author = copyright = GALAXY["authors"][0]
release = version = str(GALAXY["version"])

extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build"]
# Headings get the anchors that they have on GitHub, so that links work there and here.
myst_heading_anchors = 4
highlight_language = "none"
smartquotes = False

html_theme = "furo"
html_title = f"{project} {release}"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"source_repository": GALAXY["repository"], "source_branch": "main", "source_directory": ""}

LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)\s#]+)((?:#[^)\s]*)?\))")


def link_to_the_repository(app, docname, content):
    """Links to what is no page (an example, a test, a tool) lead to the repository."""
    page = pathlib.Path(app.env.doc2path(docname))
    if page.suffix != ".md":
        return

    def target(match):
        goal = (page.parent / match[2]).resolve()
        if goal.exists() or (goal.parent / f"{goal.name}.rst").exists() or not goal.is_relative_to(app.srcdir):
            return match[0]
        inside = goal.relative_to(app.srcdir)
        # What is not in the checkout either is left for Sphinx to complain about.
        if not (TOP / inside).exists():
            return match[0]
        kind = "tree" if (TOP / inside).is_dir() else "blob"
        return f"{match[1]}{GALAXY['repository']}/{kind}/main/{inside}{match[3]}"

    content[0] = LINK.sub(target, content[0])


# Labels of Ansible's own documentation that antsibull-docs refers to. No inventory is fetched: the site is built without a network.
ANSIBLE = "https://docs.ansible.com/ansible/latest"
LABELS = {
    "ansible_configuration_settings": f"{ANSIBLE}/reference_appendices/config.html",
    "action_plugins": f"{ANSIBLE}/plugins/action.html",
    "callback_plugins": f"{ANSIBLE}/plugins/callback.html",
    "common_return_values": f"{ANSIBLE}/reference_appendices/common_return_values.html",
}
PLUGIN = re.compile(r"ansible_collections\.(\w+)\.(\w+)\.(\w+_\w+)$")


def link_to_ansible(app, env, node, content):
    """References to Ansible and to other collections lead to docs.ansible.com."""
    label = node.get("reftarget", "")
    plugin = PLUGIN.match(label)
    address = f"{ANSIBLE}/collections/{'/'.join(plugin.groups())}.html" if plugin else LABELS.get(label)
    if address is None or (plugin and label.startswith(f"ansible_collections.{project}.")):
        return None
    return nodes.reference("", "", content.deepcopy(), internal=False, refuri=address)


def setup(app):
    app.connect("source-read", link_to_the_repository)
    app.connect("missing-reference", link_to_ansible)
