# Everything that a fresh clone needs: python3 (3.11 or newer) and make.  `make help` tells the targets.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-lock

# The tests start the command hundreds of times: without bytecode on disk each start would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv demo test check format bench crash lock clean
.DEFAULT_GOAL := help

help: ## tell the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

# The stamp holds a copy of the lock, so that the environment is made again when the lock's content changes, and only then
# (a checkout changes times, not content). The lock is the whole closure, so pip has nothing to resolve: asked to, older
# pips look past the pin for `package[extra]` and fail as soon as a newer release exists (seen with pip 23.2 and coverage).
.PHONY: lock-changed
$(STAMP): $(shell cmp -s requirements.lock $(STAMP) || echo lock-changed)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "s3batch needs Python 3.11 or newer; try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python's venv module is missing (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip --disable-pip-version-check check
	cp requirements.lock $(STAMP)

venv: $(STAMP) ## make .venv from the lock

demo: $(STAMP) ## the main job, end to end, on a small S3 server of its own (under a minute)
	$(BIN)/s3batch demo

test: $(STAMP) ## all tests; servers that are not installed are skipped, with the way to install them
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(TESTS)

check: $(STAMP) ## lint, format, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## put the code in its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## measure against the stub, beside s5cmd and rclone
	$(BIN)/python -m tests.bench

crash: $(STAMP) ## kill -9 at random moments, twenty of each kind
	S3BATCH_CRASH_RUNS=20 $(BIN)/python -m pytest -m crash --timeout 3600 -s tests/crash

lock: $(STAMP) ## pin the newest versions again (needs uv)
	uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra dev --extra demo pyproject.toml --output-file requirements.lock

clean: ## remove what was made
	rm -rf $(VENV) build dist htmlcov .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
