# The commands of this project. `make help` lists them; each is one line here over a script or a playbook.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Further arguments for ansible-playbook: make up ARGS="--check --diff"
ARGS ?=

# Python keeps what it has compiled, whatever the caller's environment says: to compile Ansible anew for each of its processes is a
# third of the time of a run that changes nothing.
unexport PYTHONDONTWRITEBYTECODE

# The tools come from .venv; Ansible's linters and molecule call each other by name.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# A locale that exists and is UTF-8, whatever the caller's is; what one exists is decided in one place.
export LC_ALL := $(shell . scripts/environment; echo "$$LC_ALL")

##@ Running the stack

.PHONY: up
up: venv ## Bring the stack to the declared state
	@scripts/play site.yml $(ARGS)

.PHONY: down
down: venv ## Stop and remove the stack's containers and networks; data and images stay
	@scripts/play playbooks/down.yml $(ARGS)

.PHONY: destroy
# A name may be any text: it goes through the environment, past make's own expansion and the shell's words.
destroy: export PRESSDOCK_DESTROY_NAME := $(value NAME)
rotate: export PRESSDOCK_ROTATE_NAME := $(value NAME)
unexport NAME
destroy: venv ## Delete for good what nothing declares any more: make destroy NAME=site
	@scripts/play playbooks/destroy.yml $(ARGS)

.PHONY: rotate
rotate: venv ## Give a derived secret a new value: make rotate NAME=database/blog, or NAME=all; without NAME it lists them
	@scripts/play playbooks/rotate.yml $(ARGS)

.PHONY: drift
drift: venv ## Say what differs from what is declared, changing nothing (exit status 2 where something does)
	@scripts/drift $(ARGS)

.PHONY: drift-timer
drift-timer: venv ## Do so regularly, by a timer of this machine, for monitoring
	@scripts/play playbooks/drift_timer.yml $(ARGS)

.PHONY: wp
# Any text arrives as it was written; a HOST of the surroundings, which some shells set, is not meant. Only WP-CLI writes to the output.
wp: export PRESSDOCK_WP_SITE := $(value SITE)
wp: export PRESSDOCK_WP_ARGS := $(value ARGS)
wp: export PRESSDOCK_WP_OPTIONS := $(value OPTIONS)
wp: export PRESSDOCK_WP_HOST := $(if $(filter command,$(origin HOST)),$(value HOST))
unexport SITE OPTIONS
wp: ## Run WP-CLI for a site: make wp SITE=blog ARGS="plugin list"; HOST=machine, where several have the site
	@scripts/bootstrap </dev/null >&2
	@scripts/wp

.PHONY: secrets
secrets: venv ## Show the sites' logins and passwords
	@scripts/play playbooks/secrets.yml $(ARGS)

##@ Checking the project

.PHONY: test test-quick test-all
test: venv-test ## Run the checks and tests
	@scripts/test

test-quick: venv-test ## Run what tells most: the checks without a machine, and one run of the whole stack
	@scripts/test --quick

test-all: venv-test ## The same as `make test`, and the tests that take long: hours
	@scripts/test --all

test-%: venv-test ## Run one molecule scenario with its output: make test-mariadb
	@molecule test -s $*

.PHONY: lint
lint: venv-test ## Run the static checks
	@scripts/lint

.PHONY: unit
unit: venv-test ## Test the filters, the scripts and the rendered templates
	@pytest tests/unit tests/templates

.PHONY: mutants
mutants: venv-test ## Take comparisons out, and see the drift suite notice each (an hour)
	@python tests/mutants.py $(ARGS)

.PHONY: bench
bench: venv ## Measure converges and requests (minutes; uses a stack of its own)
	@python bench/run.py $(ARGS)

.PHONY: bench-idle
bench-idle: venv ## Measure what the running stack costs while nobody visits it (ten minutes)
	@python bench/idle.py $(ARGS)
.PHONY: bench-growth
bench-growth: venv ## Measure runs that change nothing, with more sites and machines (half an hour)
	@python bench/growth.py $(ARGS)

##@ Maintaining the project

.PHONY: docs
docs: venv ## Write docs/variables.md from the roles' argument_specs
	@python scripts/variable_reference.py

.PHONY: times
times: venv-test ## Keep what the last tests measured: their order, and the tables of docs/develop/testing.md
	@python tests/gate/times.py --keep

.PHONY: lock
lock: ## Resolve requirements*.lock anew from pyproject.toml
	@scripts/lock

.PHONY: venv venv-test
venv: ## Make .venv ready for the playbooks (part of the commands above)
	@scripts/bootstrap
venv-test: ## Make .venv ready for the tests as well
	@scripts/bootstrap --test

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z%-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
