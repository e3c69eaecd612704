# Thin: every target calls a script or cargo. `make` alone lists them.

TICKCAST_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tickcast
# Build output is shared by every clone: a second one compiles nothing but tickcast.
CARGO_TARGET_DIR ?= $(TICKCAST_CACHE)/target
export TICKCAST_CACHE CARGO_TARGET_DIR

.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint bench stack-up stack-down clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14
	@echo
	@echo 'Variables: ARGS (passed on by demo, test and bench), TICKCAST_CACHE ($(TICKCAST_CACHE))'

setup: ## install what is missing (system packages, ONNX Runtime, Kafka); idempotent
	@deploy/setup

build: ## the release binary at .local/bin/tickcast
	@deploy/build

demo: ## a generated market through Kafka into predictions, and the referee at work: make demo ARGS="--for 60s --json"
	@deploy/demo $(ARGS)

test: ## every test, on a private Kafka and PostgreSQL: make test ARGS=restore picks by name
	@deploy/test $(ARGS)

lint: ## formatting, clippy, shell and Python lints, licences
	@deploy/lint

bench: ## the figures of benches/README.md, on a private Kafka and PostgreSQL
	@deploy/bench $(ARGS)

stack-up: ## a private Kafka and PostgreSQL in the background (.local/stack)
	@deploy/stack up

stack-down: ## stop them
	@deploy/stack down

clean: ## stop the stack and remove .local (the cache outside the checkout stays)
	@deploy/stack down --wipe
	@rm -rf .local
