# `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh
NODE := scripts/node
# Everything stays in this folder: the home may be read-only, or none.
NPM_CACHE := $(CURDIR)/.node/npm-cache
NPM := npm --cache "$(NPM_CACHE)" --no-audit --no-fund --no-update-notifier --loglevel=error

# `docker compose`, or `docker-compose` if only that is installed. COMPOSE=… sets another program.
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.PHONY: help build run demo up down logs test check bench docs pictures clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: node node_modules/.installed ## install what is needed, Node 24 itself included

# The recipe's shell becomes the program: make passes SIGTERM on to it, and ends when it does.
run: build ## serve on http://127.0.0.1:8000
	@exec $(NODE) src/main.ts

# Environment variables override the file, including those that name a file.
demo: build ## like run, with its own data and well-known settings
	@echo 'A demonstration: its settings are well known (demo.env). Store nothing real in it.'
	@set -- env $${STORAGE_URL_FILE:+STORAGE_URL=} $${JWT_HEX_SECRET_FILE:+JWT_HEX_SECRET=} \
	  $(NODE) --env-file=demo.env; "$$@" src/cli/main.ts demo-data && exec "$$@" src/main.ts

up: ## serve in containers, with nginx and MongoDB; wait until ready
	@COMPOSE='$(COMPOSE)' scripts/up

down: ## stop the containers and keep their data
	@$(COMPOSE) down

logs: ## follow the logs of the containers
	@$(COMPOSE) logs --follow --tail=100

test: build ## run every test that can run on this machine
	@$(NODE) scripts/run-tests.ts

check: build ## types, lint, generated files, tests with coverage
	@PATH="$$PWD/.node/node_modules/node/bin:$$PATH" npm run --silent check

bench: build ## measure, and write docs/benchmarks*.md and .svg
	@$(NODE) bench/run.ts
	@$(NODE) bench/nginx.ts
	@$(NODE) bench/proxy.ts
	@$(NODE) bench/webhooks.ts
	@$(NODE) bench/accounts.ts
	@$(NODE) bench/command.ts

docs: build ## regenerate docs/configuration.md and docs/openapi.json
	@$(NODE) scripts/generate-docs.ts

pictures: build ## take screenshots of every page into pictures/, with Chromium
	@$(NODE) scripts/pictures.ts

clean: ## remove dependencies and coverage, not the data
	@rm -rf node_modules .node coverage pictures

.PHONY: node
node:
	@scripts/install-node "$(NPM_CACHE)"

# --include=dev: `make test` works whatever NODE_ENV says. `node` comes first, but alone never makes this stale.
node_modules/.installed: package.json package-lock.json | node
	@echo 'Installing dependencies …'
	@PATH="$$PWD/.node/node_modules/node/bin:$$PATH" $(NPM) ci --include=dev
	@rm -rf "$(NPM_CACHE)"
	@touch $@
