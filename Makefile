# `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh
NODE := scripts/node
# Everything stays in this folder: the home may be read-only, or none.
NPM_CACHE := $(CURDIR)/.node/npm-cache
NPM := npm --cache "$(NPM_CACHE)" --no-audit --no-fund --no-update-notifier --loglevel=error

# `docker compose`, or `docker-compose` where only that is there. COMPOSE=… takes another.
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.PHONY: help build run demo up down logs test check bench docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: node node_modules/.installed ## install what is needed, Node 24 itself included

# The recipe's shell becomes the program, which then watches make: see src/processes/primary/make-watch.ts.
run: build ## serve on http://127.0.0.1:8000
	@exec env HUSHBOX_MAKE_PID=$$PPID $(NODE) src/main.ts

# Variables that are set win over those of the file; so do those that are set as files.
demo: build ## as run, with data of its own and settings that everybody knows
	@echo 'A demonstration: everybody knows its settings (demo.env). Keep nothing real in it.'
	@exec env HUSHBOX_MAKE_PID=$$PPID $${STORAGE_URL_FILE:+STORAGE_URL=} $${JWT_HEX_SECRET_FILE:+JWT_HEX_SECRET=} \
	  $(NODE) --env-file=demo.env src/main.ts

up: ## serve in containers, with nginx and MongoDB; waits until ready
	@COMPOSE='$(COMPOSE)' scripts/up

down: ## end the containers; their data stays
	@$(COMPOSE) down

logs: ## follow what the containers say
	@$(COMPOSE) logs --follow --tail=100

test: build ## run every test that can run here
	@$(NODE) node_modules/ava/entrypoints/cli.js

check: build ## types, lint, generated files, tests with coverage
	@PATH="$$PWD/.node/node_modules/node/bin:$$PATH" npm run --silent check

bench: build ## measure, and draw docs/benchmarks.svg
	@$(NODE) bench/run.ts
	@$(NODE) bench/nginx.ts
	@$(NODE) bench/proxy.ts
	@$(NODE) bench/webhooks.ts

docs: build ## regenerate docs/configuration.md and docs/openapi.json
	@$(NODE) scripts/generate-docs.ts

clean: ## remove what was installed and measured, not the data
	@rm -rf node_modules .node coverage

.PHONY: node
node:
	@scripts/install-node "$(NPM_CACHE)"

# With what tests need, whatever NODE_ENV says: `make test` is for everybody. The order matters alone: node is always checked.
node_modules/.installed: package.json package-lock.json | node
	@echo 'Installing dependencies …'
	@PATH="$$PWD/.node/node_modules/node/bin:$$PATH" $(NPM) ci --include=dev
	@rm -rf "$(NPM_CACHE)"
	@touch $@
