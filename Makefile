# make demo    install, train the embedded model with VGPO, evaluate, report (a few minutes on two cores)
# make test    install, then ruff, basedpyright, import-linter, pytest
# make docs    the documentation site, into site/ (part of `make test`, by its test)
# make bench   speed and memory against the plain way (docs/performance.md), about half an hour on
#              two free cores; tables on the screen, rows in benchmarks/out/
#              (BENCHMARKS="grading data soak" runs others of the folder)
# make performance  puts what `make bench` measured into docs/performance.md
# make test-vllm  builds .venv-vllm (vLLM for CPUs) and checks that sampler and trainer agree
# make test-verl  builds .venv-verl (verl, without trl) and trains with it on two CPU ranks; make bench-verl measures a step there
# make test-versions  the families' tests under the lowest version of transformers, verl's and the newest;
#              puts a table into docs/families.md (VERSIONS="5.6.2 5.24.0" runs others)
#
# TORCH_INDEX=https://download.pytorch.org/whl/cpu takes torch from a CPU package index
# (smaller by gigabytes on Linux machines without a GPU).

PYTHON ?= python3
TORCH_INDEX ?=
ARGS ?=
WORKERS ?= 2
VERSIONS ?= 5.24.0 5.10.4 5.9.0 5.6.2
BENCHMARKS ?= scoring newer_signals exact_kl rollouts training_pass steps growth

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test lint types imports pytest docs bench performance test-vllm test-verl test-versions bench-verl clean

demo: .venv/.run
	@echo "starting: Python loads torch and transformers, some seconds"
	$(BIN)/sightline train --config recipes/demo.yaml $(ARGS)

test: lint types imports pytest

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.dev
	$(BIN)/basedpyright --pythonpath $(BIN)/python

imports: .venv/.dev
	$(BIN)/lint-imports

pytest: .venv/.dev
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

docs: .venv/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html; with search: $(BIN)/mkdocs serve"

bench: .venv/.dev
	@for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py $(ARGS) || exit 1; done

performance: .venv/.dev
	$(BIN)/python benchmarks/measuring/page.py

test-vllm: .venv-vllm/.ready
	SIGHTLINE_TEST_VLLM=1 PYTHONPATH=$(CURDIR)/tests/with_vllm/startup OMP_NUM_THREADS=1 \
	  .venv-vllm/bin/python -m pytest tests/with_vllm --show-capture=no $(ARGS)

.venv-vllm/.ready: tests/with_vllm/requirements.txt pyproject.toml
	test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check \
	  $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --requirement tests/with_vllm/requirements.txt --editable '.[trl]'
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchaudio torchcodec # of no use here, and they fail to load
	touch $@

test-verl: .venv-verl/.ready
	SIGHTLINE_TEST_VERL=1 OMP_NUM_THREADS=1 .venv-verl/bin/python -m pytest tests/with_verl \
	  --override-ini filterwarnings=ignore $(ARGS)

bench-verl: .venv-verl/.ready
	OMP_NUM_THREADS=1 .venv-verl/bin/python benchmarks/verl_step.py $(ARGS)

.venv-verl/.ready: tests/with_verl/requirements.txt pyproject.toml
	test -x .venv-verl/bin/python || $(PYTHON) -m venv .venv-verl
	.venv-verl/bin/python -m pip install --quiet --disable-pip-version-check \
	  $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --requirement tests/with_verl/requirements.txt --editable .
	touch $@

test-versions: .venv/.dev
	PYTHONPATH=src:tests $(BIN)/python tests/transformers_versions.py $(VERSIONS)

.venv/.torch: constraints.txt
	@echo "installing into .venv: torch first, then the rest; two minutes from a fast index, once"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	touch $@

.venv/.run: .venv/.torch pyproject.toml
	@echo "installing sightline and TRL"
	$(PIP) --editable '.[trl]'
	touch $@

.venv/.dev: .venv/.torch pyproject.toml
	@echo "installing sightline and what its tests and docs need"
	$(PIP) --editable '.[dev]'
	touch $@ .venv/.run

clean:
	rm -rf .venv .venv-vllm .venv-verl .venv-versions
