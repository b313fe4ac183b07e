# make demo | test | stop: `make` alone lists all.
PYTHON ?= python3
BIN := .venv/bin
# What a shell has of AWS's or facefleet's has no business here.
unexport $(filter AWS_% FACEFLEET_%,$(.VARIABLES))
# A proxy of the shell is not for the services on this machine.
comma := ,
no_proxy_of_shell := $(or $(no_proxy),$(NO_PROXY))
ifneq ($(no_proxy_of_shell),*)
export no_proxy := $(addsuffix $(comma),$(no_proxy_of_shell))localhost,127.0.0.1,::1
endif
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/$(BIN):$(PATH)
export SOURCE V
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo status verify audit audit-deps test test-arm64 lint unit unit-app unit-ansible molecule molecule-hosts molecule-processes molecule-quick faults bench bench-link stop clean distclean requirements prerequisites install install-test install-audit test-packages

help: ## List what make can do
	@sed -n 's/^\([a-z0-9-]*\):.* ## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
	  printf '  make %-14s %s\n' "$$name" "$$text"; done

demo: install ## A cloud and two devices on this machine (SOURCE=/dev/video0: its camera; V=1: all lines)
	@$(PYTHON) scripts/steps.py playbook site.yml
	@$(FLEET); FACEFLEET_BROKER=$$BROKER FACEFLEET_TLS=$$TLS facefleet status --expect "$$CAMERAS"
	@$(FLEET); echo "Gallery: $$GALLERY"
	@$(FLEET); [ -n "$$TLS" ] || echo "No TLS: without Mosquitto, MQTT is plain, on 127.0.0.1 only."
	@echo "Stop it: make stop"

# What the playbooks wrote down; there while the fleet of this checkout runs.
FLEET = [ -f .facefleet/fleet.env ] || { echo 'No fleet is up in this checkout: `make demo` brings it up.'; exit 1; }; \
  . ./.facefleet/fleet.env

status: ## How devices and cameras are doing, and what is wrong
	@$(FLEET); FACEFLEET_BROKER=$$BROKER FACEFLEET_TLS=$$TLS facefleet status --expect "$$CAMERAS" >/dev/null; \
	  FACEFLEET_PROCESSOR=$$PROCESSOR facefleet devices

verify: ## Send a probe face through every device
	@$(FLEET); ANSIBLE_DISPLAY_OK_HOSTS=true ansible-playbook playbooks/verify.yml

audit: ## Hold every outbox against the bucket
	@$(FLEET); FACEFLEET_BUCKET=$$BUCKET FACEFLEET_RETENTION_DAYS=$$RETENTION_DAYS facefleet audit .facefleet/*/outbox-*.sqlite

# In this order two jobs at a time are done at about the same time.
test: test-packages install-test lint molecule-quick unit-app unit-ansible molecule-processes ## The whole suite (make -j 2 test: on two cores)

test-arm64: ## Every image for arm64 on this amd64 machine, and each service started in it (long)
	scripts/test-arm64.sh

lint: install-test ## Style and layers
	ruff check
	ruff format --check
	yamllint --strict .
	ansible-lint --offline
	pytest --quiet tests/repository/test_task_names.py
	cd app && lint-imports

unit: unit-app unit-ansible ## The app's tests, those of the roles, and those of the playbooks on an AWS of this machine

unit-app: install-test
	cd app && pytest

unit-ansible: install-test install-audit
	pytest --numprocesses=2 --dist=loadfile

molecule: molecule-processes molecule-quick ## The roles: on this machine, and with Docker on hosts of their own

molecule-processes: install-test
	molecule test -s supervisor -s app_service -s broker -s pki

# The fleet in its short form stands for the scenarios of its parts. CI leaves nothing out.
molecule-quick: install-test
	@if [ -n "$$CI" ] || why=$$(scripts/hosts.sh); then molecule test -s fleet; \
	  else echo "Left out, as they need hosts of their own: the scenarios of make molecule-hosts. $$why" >&2; fi

molecule-hosts: install-test ## All those on hosts of their own: systemd containers in Docker (long)
	FLEET_LONG=true molecule test -s fleet -s docker -s k3s -s app_image

audit-deps: install-audit ## Look every pinned dependency up among the known vulnerabilities (needs the internet)
	@$(AUDIT)/bin/python scripts/audit_deps.py

faults: install-test ## The fault matrix: 5,000 faces in every row (long)
	python -m benchmarks.faults

bench: install-test ## Throughput and CPU by stage, against other ways to do it
	python -m benchmarks.bench all

bench-link: install-test ## Goodput, bytes and delays on bad links, as root (25 minutes)
	python -m benchmarks.link

stop: ## End every process that the demo started
	@$(PYTHON) scripts/stop.py
	@rm -f .facefleet/fleet.env

clean: stop ## Stop, and remove the state
	rm -rf .facefleet

distclean: clean ## Also remove .venv
	rm -rf .venv

requirements: install ## Compile the pinned dependencies again
	@pip install --quiet uv
	scripts/compile-requirements.sh

# Stamps are named by their requirements' content: what is installed is not installed again.
DEMO_STAMP := .venv/demo-$(firstword $(shell cksum requirements/demo.txt app/pyproject.toml | cksum))
TEST_STAMP := .venv/test-$(firstword $(shell cksum requirements/test.txt | cksum))

AUDIT := .venv/audit
AUDIT_STAMP := $(AUDIT)/installed-$(firstword $(shell cksum requirements/audit.txt | cksum))

install: prerequisites $(DEMO_STAMP)
install-test: install $(TEST_STAMP)
# Before all else, where it is asked for.
prerequisites: | $(if $(filter test,$(MAKECMDGOALS)),test-packages)

test-packages:
	@command -v $(PYTHON) >/dev/null || [ "$$(id -u)" != 0 ] || { \
	  echo "Installing python3"; apt-get update -q && apt-get install -qy --no-install-recommends python3; }
	@$(PYTHON) scripts/test_packages.py
install-audit: prerequisites $(AUDIT_STAMP)

prerequisites:
	@$(PYTHON) scripts/prerequisites.py

$(BIN)/python3:
	@echo "Making .venv"
	@$(PYTHON) -m venv .venv

$(DEMO_STAMP): | $(BIN)/python3
	@$(PYTHON) scripts/steps.py pip "Install what the demo needs (once; about 1 GB)" requirements/demo.txt
	@pip install --quiet --no-deps --no-build-isolation -e app
	@rm -f .venv/demo-*; touch $@

$(TEST_STAMP): | $(DEMO_STAMP)
	@$(PYTHON) scripts/steps.py pip "Install what the tests need (once)" requirements/test.txt
	@rm -f .venv/test-*; touch $@

$(AUDIT_STAMP): | $(BIN)/python3
	@echo "Installing what looks for vulnerabilities (once)"
	@$(PYTHON) -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/pip install --quiet --require-hashes -r requirements/audit.txt
	@touch $@
