# Everything one does with this project. `make` alone lists it.

RUNTIME := ./bootstrap
DEV := ./bootstrap --dev

.DEFAULT_GOAL := help
.PHONY: help run test check bench soak screenshots clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: ## install what is missing and start everything on port 8080 (PORT=9000 make run)
	@exec $(RUNTIME) manage.py up $(ARGS)

test: ## run all tests, with what they need (make test ARGS="tests/lua -x")
	@$(DEV) -m tests.machine && exec $(DEV) -m pytest $(ARGS)

check: ## lint, format, Django's system checks, missing migrations
	@$(DEV) -m ruff check .
	@$(DEV) -m ruff format --check .
	@$(DEV) manage.py check
	@$(DEV) manage.py makemigrations --check --dry-run

bench: ## measure throughput and latency; see benchmarks/
	@exec $(DEV) -m benchmarks $(ARGS)

soak: ## kill and cut off everything for ten minutes, then count (ARGS="--minutes 1 --seed 7")
	@exec $(DEV) -m tests.soak $(ARGS)

screenshots: ## take pictures of every page, for the documentation
	@exec $(DEV) manage.py screenshot $(ARGS)

clean: ## remove what was installed and all caches; data under var/ stays
	@rm -rf .venv .venv-* .pytest_cache .ruff_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
