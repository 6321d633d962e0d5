# `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh
NODE := scripts/node
# Without a trace of the machine's own npm settings for output; errors stay visible.
NPM := npm --no-audit --no-fund --no-update-notifier --loglevel=error
# The newest 24; one on the PATH is taken from 24.12 on (engines in package.json).
NODE_WANTED := 24

# `docker compose`, or `docker-compose` where only that is there. COMPOSE=… takes another.
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.PHONY: help build run demo up down logs test check bench docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: node_modules/.installed ## install what is needed, Node 24 itself included

# The recipe's shell becomes the program: make passes SIGTERM on to it, and ends when it does.
run: build ## serve on http://127.0.0.1:8000
	@exec $(NODE) src/main.ts

# Variables that are set, also as files, override those of demo.env.
demo: build ## as run, with its own data and well-known settings
	@echo 'A demonstration: its settings are public (demo.env). Keep nothing real in it.'
	@exec env $${STORAGE_URL_FILE:+STORAGE_URL=} $${JWT_HEX_SECRET_FILE:+JWT_HEX_SECRET=} \
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

node_modules/.installed: package.json package-lock.json
	@node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major * 100 + +minor >= 2412 ? 0 : 1)' \
	  2>/dev/null \
	  || [ -x .node/node_modules/node/bin/node ] \
	  || { echo 'Installing Node $(NODE_WANTED) into .node …'; $(NPM) install --prefix .node node@$(NODE_WANTED); }
	@echo 'Installing dependencies …'
	@PATH="$$PWD/.node/node_modules/node/bin:$$PATH" $(NPM) ci
	@touch $@
