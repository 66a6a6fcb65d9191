# `make demo` and `make test` are all that a fresh clone needs: each sets itself up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Schemathesis runs by itself, in a process of its own: pytest need not load it into each of its processes.
PYTEST := $(BIN)/pytest --numprocesses=2 --dist=loadfile -p no:schemathesis

# `make test COVERAGE=1` is what CI runs: it adds the tests that take longest (tests/long_tests.txt). For a release, FULL=1
# adds the slowest of all, every test on both databases, and more examples.
ifdef FULL
COVERAGE := 1
export FIVEFOLD_TESTS := full
endif
ifdef COVERAGE
PYTEST += --cov --cov-report=term --durations=40
else
# Not exported: `make coverage` would inherit it.
SHORT := FIVEFOLD_TESTS=$${FIVEFOLD_TESTS:-short}
endif

.PHONY: demo test style types tests coverage soak docs screenshots serve pins requirements bento lock sbom clean

# Idle OpenMP threads sleep: see domain/__init__.py, which is too late where LightGBM is imported first.
export OMP_WAIT_POLICY := PASSIVE
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := True
export DO_NOT_TRACK := true
# What Python compiled is kept, also where the environment says otherwise: the tests start it a hundred times.
export PYTHONDONTWRITEBYTECODE :=

# Python 3.11 reads the path of this folder as ASCII in these locales, and ends where it has an umlaut; `override` is for `make LC_ALL=C`.
ifneq ($(filter C POSIX,$(LC_ALL)),)
override export LC_ALL := C.UTF-8
endif

# uv ends where it cannot make its cache, as in a home that can only be read: it goes without one there.
ifneq ($(shell exec 2>&-; cache=$${UV_CACHE_DIR:-$${XDG_CACHE_HOME:-$${HOME:?}/.cache}/uv}; mkdir -p "$$cache" && test -w "$$cache" && echo yes),yes)
export UV_NO_CACHE := 1
endif

# Its commands name the folder that it was made in: one that came with a copy, or was moved, would run the code there.
# One that is named by its whole path is another checkout's, and stays as it is.
ifeq ($(filter /%,$(VENV)),)
ifneq ($(shell grep -s '^command = ' $(VENV)/pyvenv.cfg | grep -vF " $$(pwd -P)/$(VENV)"),)
$(shell rm -f $(READY) $(BIN)/python)
endif
endif

demo: $(READY)
	@$(BIN)/fivefold demo

# The pictures of the console, from the portfolio that `make demo` left; it needs a Chromium.
screenshots: $(READY)
	$(BIN)/python -m tests.browser.screenshots

# Leaves the service of the demo running, and prints a call that is ready to be pasted.
serve: $(READY)
	@$(BIN)/fivefold demo --serve

# Stops at once where the style is not kept; the types are checked while the tests run.
test: style
	@$(MAKE) --no-print-directory --jobs=2 types tests

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy

tests: $(READY)
	$(SHORT) $(PYTEST)

# Which lines and branches the tests reach; it fails where they are fewer than 95 of 100.
coverage: $(READY)
	@$(MAKE) --no-print-directory tests COVERAGE=1

# The same properties with other examples each time, many times as many; what takes long; and code that is changed, for
# its tests to fail.
soak: $(READY)
	FIVEFOLD_TESTS=soak $(PYTEST)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev,soak]'
	$(BIN)/python -m benchmarks.mutation

# The pages of docs/ as a site, in build/site; a link that leads nowhere is an error.
docs: $(READY)
	$(BIN)/zensical build --strict

$(READY): pyproject.toml constraints.txt hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit("fivefold needs Python 3.11, 3.12 or 3.13; this is " + sys.version.split()[0] + ". Try: make $(MAKECMDGOALS) PYTHON=python3.11") if not (3, 11) <= sys.version_info[:2] <= (3, 13) else 0'
# Without pip it was left half made, as by Debian without python3-venv.
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv -c constraints.txt
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

# Takes new releases of everything: run it, read the difference, run `make test`.
pins: $(READY)
	$(BIN)/uv pip compile --quiet --no-emit-index-url --no-annotate --no-header --upgrade --python-version 3.11 \
		--all-extras pyproject.toml --output-file constraints.txt
	$(MAKE) requirements

# What the built Bento installs: the extra `serve`, as constraints.txt pins it.
requirements: $(READY)
	$(BIN)/uv pip compile --quiet --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
		--constraint constraints.txt --extra serve pyproject.toml --output-file deploy/requirements.txt

# The Bento holds the package as it is installed, not the folders of a checkout.
bento: $(READY)
	rm -rf build/bento
	$(BIN)/uv pip install --quiet --no-deps --python $(BIN)/python --target build/bento .
	cp deploy/bentofile.yaml deploy/requirements.txt build/bento
	$(BIN)/bentoml build build/bento

# What an installation without development packages has: each package with its hashes, as constraints.txt pins it.
lock: $(READY)
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.12 \
		--constraint constraints.txt --extra all pyproject.toml --output-file runtime.lock

sbom: lock
	$(BIN)/python deploy/sbom.py runtime.lock sbom.cdx.json

clean:
	rm -rf $(VENV) build var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	rm -f console/static/*.min.js
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
