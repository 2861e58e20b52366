# Every target works on a bare clone, with nothing run before it: it makes what it needs first, and only once.
# Needs: root or the same rights, Debian 12 or similar, python3 >= 3.11, make, git, apt-get, and the internet for the first set-up.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh
# What Python has compiled is kept: without it each of the thousands of processes here compiles Ansible anew.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
DATABASES := .cache/databases
UV := 0.13.9

# Scripts of a virtual environment hold absolute paths: after the checkout was moved or copied, the environment is made anew.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
$(shell rm -f $(READY))
endif

# The environment's own collections, and the checkout that is linked among them, come before any copy in ~/.ansible/collections.
RUN = ANSIBLE_COLLECTIONS_PATH="$$(echo "$(CURDIR)"/$(VENV)/lib/python3*/site-packages)" PATH="$(CURDIR)/$(VENV)/bin:$$PATH"

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  %-11s %s\n' "$$name" "$$text"; done

.PHONY: setup
setup: $(READY) $(DATABASES)/.ready ## make .venv and fetch the database servers (into .cache/databases)

$(READY): export PIP_DISABLE_PIP_VERSION_CHECK := 1
$(READY): export PIP_ROOT_USER_ACTION := ignore
$(READY): requirements-dev.txt tools/get_collections.py
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python3 is older than 3.11")'
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; }
	python3 -m venv --clear $(VENV)
	$(PY) -m pip -q install uv==$(UV)
	$(VENV)/bin/uv pip install -q --compile-bytecode --python $(PY) pip -r requirements-dev.txt
	$(PY) tools/get_collections.py
	@printf '%s\n' '$(CURDIR)' >$@

$(DATABASES)/.ready: tools/get_databases.sh
	sh tools/get_databases.sh
	@touch $@

.PHONY: lint
lint: $(READY) ## yamllint, ansible-lint (production profile), ruff, shellcheck, changelog and documentation
	@failed=; try() { echo "$$*"; $(RUN) "$$@" || failed="$$failed $$1"; }; \
	try yamllint --strict .; \
	try ruff check --quiet --output-format concise .; \
	try shellcheck $$(git ls-files -co --exclude-standard '*.sh' .ci/run); \
	try antsibull-changelog lint; \
	try ansible-lint --strict -q; \
	try antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=all .; \
	for page in $(wildcard tools/*_page.py); do try python $$page --check; done; \
	test -z "$$failed" || { echo "lint:$$failed failed"; exit 1; }

.PHONY: sanity
sanity: $(READY) ## ansible-test sanity, all tests
	$(RUN) tools/ansible-test.sh sanity

.PHONY: unit
unit: $(READY) ## unit tests: no network, no servers
	$(RUN) python -m pytest -q --numprocesses 2 tests/unit

.PHONY: lab-tests
lab-tests: setup ## the lab itself and the modules, against real database servers
	$(RUN) python -m pytest -q --timeout=600 --numprocesses 2 --dist loadfile tests/lab tests/database

# They wait for virtual hours most of the time: four files at once fit on two cores; the longest begin first (conftest.py).
.PHONY: scenarios
scenarios: setup ## the playbooks against the lab; and whether the pages allow just the AWS calls that were made
	rm -rf .cache/iam-actions
	$(RUN) python -m pytest -q --timeout=900 --numprocesses 4 --dist loadfile --no-loadscope-reorder tests/scenarios
	$(RUN) python tools/iam_actions.py .cache/iam-actions

.PHONY: molecule
molecule: setup ## the roles, by molecule, against the lab
	cd extensions && $(RUN) COLUMNS=140 molecule test --all

.PHONY: artifact
artifact: $(READY) ## build the collection, install it elsewhere, run it by FQCN
	$(RUN) tools/check_artifact.sh

.PHONY: test
test: setup ## everything above; goes on after a failure and ends with a summary
	@$(RUN) python tools/stages.py lint+artifact sanity+molecule unit lab-tests scenarios

.PHONY: rehearse
rehearse: setup ## encrypt a fleet of real servers in the lab, twice, under the eyes of a writing application
	$(RUN) python tools/rehearse.py

.PHONY: crash
crash: setup ## kill encrypt.yml at every change that it makes, finish the work, and judge: STRATEGY, FLEET, ENGINES, WAYS, POINTS, SAMPLE, JOBS
	$(RUN) python tools/crash.py

.PHONY: bench
bench: SIZES ?= 1,10,50,100
bench: WHO ?= ours,amazon.aws,slow,outage
bench: setup ## time, processor, memory and calls of encrypt.yml for whole fleets, beside amazon.aws alone; write outages: SIZES, WHO
	$(RUN) python tools/bench.py --sizes $(SIZES) --jobs $(WHO)

.PHONY: outage
outage: setup ## the write outage of each strategy as an application sees it, on real servers: FLEET, RATE, TIMESCALE, STRATEGIES
	$(RUN) python tools/outage.py

.PHONY: browser
browser: $(READY) ## the pages of the report in Chromium, on screens and as PDF; not a part of make test: it fetches 300 MB
	$(RUN) tools/browser.sh

# Pages that are made from the code: each tools/NAME_page.py writes its own, and make lint fails when one is stale.
.PHONY: docs
docs: $(READY) ## write the generated pages anew and check the documentation
	for page in $(wildcard tools/*_page.py); do $(RUN) python $$page || exit 1; done
	$(RUN) antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=all .

# What only the site needs is no part of the environment that the checks run in.
$(VENV)/.site: docs/docsite/requirements.txt | $(READY)
	$(VENV)/bin/uv pip install -q --python $(PY) -r $<
	@touch $@

.PHONY: site
site: $(READY) $(VENV)/.site ## build the documentation as a site, in site/; a warning is a failure
	$(RUN) python tools/docsite.py site

.PHONY: release
release: site ## write the changelog of galaxy.yml's version, build archive and documentation into dist/, show the archive to galaxy-importer
	$(RUN) antsibull-changelog release
	rm -rf dist
	$(RUN) ansible-galaxy collection build --force --output-path dist
	tools/galaxy_importer.sh "$$(echo "$(CURDIR)"/dist/*.tar.gz)"
	archive=$$(echo dist/*.tar.gz) && tar -C site -czf "$${archive%.tar.gz}-site.tar.gz" .

.PHONY: clean
clean: ## remove all that the targets have made
	rm -rf $(VENV) .cache .ansible dist site tests/output .pytest_cache .ruff_cache .hypothesis
