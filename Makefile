# make demo    renders clips, builds a data set, trains three networks, writes runs/demo/report/
# make test    runs all tests; make test ARGS="-k flow" some of them
# make check   runs the fast tests, in a minute or two
# make lint    checks style and types
# make clean   removes the environment and caches; results in runs/ stay
#
# The first of them makes a virtual environment in .venv with the tested versions of constraints/.
# It takes the newest of Python 3.13, 3.12 and 3.11 that is installed. To use another, run
# make clean, then make PYTHON=/path/to/python.

VENV := .venv
BIN := $(VENV)/bin
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python)
INSTALLED := $(VENV)/installed
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help demo test check lint clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \{0,1\}//; /^$$/q; p' Makefile

demo: $(INSTALLED)
	$(BIN)/python run.py --config=configs/demo.py

test: $(INSTALLED)
	$(PYTEST) $(ARGS)

# Leaves out the tests marked slow: conftest.py gives that mark by rule.
check: $(INSTALLED)
	$(PYTEST) -m "not slow" $(ARGS)

lint: $(INSTALLED)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# Below: the environment. The mark is written last, so that a failed installation is repeated.

# JAX 0.10 is the last for Python 3.11. The file depends on the Python of the environment, which
# exists only when the recipe runs: a change of either file installs again.
$(INSTALLED): $(VENV)/pyvenv.cfg setup.cfg pyproject.toml $(wildcard constraints/*.txt)
	@echo "Installing what mmer-jax needs into $(VENV), 3.5 GB: this takes some minutes."
	@line=$$($(BIN)/python -c 'import sys; print("0.10" if sys.version_info < (3, 12) else "0.12")') && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 \
	    -e '.[data,build,dev]' -c "constraints/jax$$line.txt"
	@error=$$($(BIN)/python -c 'import cv2' 2>&1) || { \
	    echo "OpenCV is installed but cannot be loaded: $${error##*Error: }"; \
	    echo "On Debian and Ubuntu: apt-get install libgl1 libglib2.0-0. Then run make again."; \
	    exit 1; } >&2
	@touch $@

# Each candidate is run: a name on PATH may be a pyenv shim for a version that is not selected. A
# Python that cannot run, is too old or too new, or cannot make environments is passed over.
$(VENV)/pyvenv.cfg:
	@found=; \
	for python in $(PYTHONS); do \
	    "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	        2>/dev/null || continue; \
	    found="$${found:-$$python}"; \
	    "$$python" -c 'import ensurepip, venv' 2>/dev/null || continue; \
	    echo "Making $(VENV) with $$("$$python" --version)."; \
	    rm -rf $(VENV); \
	    exec "$$python" -m venv $(VENV); \
	done; \
	if [ -n "$$found" ]; then \
	    echo "$$found cannot make virtual environments: its venv module is incomplete."; \
	    echo "On Debian and Ubuntu: apt-get install python3-venv (or python3.11-venv)."; \
	else \
	    echo "mmer-jax needs Python 3.11, 3.12 or 3.13; tried: $(PYTHONS)."; \
	    echo "If it has another name: make PYTHON=/path/to/python3.13"; \
	fi >&2; \
	exit 1
