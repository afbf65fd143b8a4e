# make demo   - watch recorded parts being inspected, verdicts over MQTT (runtime only, no torch)
# make test   - everything installed, the tests side by side: about ten minutes on two cores
# make test-all - and the long ones: whole boxes, faults in their short forms, surroundings
# make coverage - lines and branches that the unit tests reach, by module
# make check  - format, lint, types, imports
# make faults - brokers, boxes, networks, disks and cameras broken on purpose: what was lost, how long it took
# make bench  - speed and memory, as ratios in one run
# make mutants - the share of small errors that the nearest tests notice, package by package
# make docs   - the documentation as HTML, warnings as errors (docs/_build); make reference writes docs/reference/
# make packages - for a box: a folder of wheels, a .deb, the bill of materials (dist/); make container builds an image
# make demo-bundle - rebuild the demo's parts and bundle from nothing: render, train, evaluate, export, verify

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Python compiles what is imported; compiling all 15,000 modules would take a third of the installation.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

PYTEST := $(BIN)/python -m pytest
# In the order of tests/conftest.py, which begins with what takes longest; one worker more than cores, since whole
# boxes mostly wait.
WORKERS := $(shell $(PYTHON) -c 'import os; print(min(8, (os.cpu_count() or 1) + 1))')
SIDE_BY_SIDE := --numprocesses $(WORKERS) --dist loadgroup --no-loadscope-reorder

.PHONY: demo packages wheels deb sbom container test test-all test-long coverage check bench faults mutants docs reference demo-bundle format clean

demo: $(VENV)/.demo
	PYTHONPATH=tools $(BIN)/python -m demo.run

test: $(VENV)/.dev
	sh tools/system_packages.sh broker cameras render metrics backup database fleet
	$(PYTEST) $(SIDE_BY_SIDE) -m "not long"

# One session for all that may run side by side: nothing is made twice, and short tests fill the gaps of long ones.
test-all: $(VENV)/.dev
	sh tools/system_packages.sh broker cameras render browser metrics backup database fieldbus fleet
	$(PYTEST) $(SIDE_BY_SIDE) -m "not alone"; first=$$?; $(PYTEST) -m alone && exit $$first

coverage: $(VENV)/.dev
	$(PYTEST) $(SIDE_BY_SIDE) -m "not long" --cov=edgeflow --cov=edgeflow_export --cov-branch --cov-report=term:skip-covered

test-long: $(VENV)/.dev
	sh tools/system_packages.sh broker cameras render browser metrics backup database fieldbus fleet
	$(PYTEST) $(SIDE_BY_SIDE) -m "long and not alone"; first=$$?; $(PYTEST) -m "long and alone" && exit $$first

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy edgeflow export/edgeflow_export
	$(BIN)/mypy tools
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.dev
	PYTHONPATH=tools $(BIN)/python -m benchmarks.runtime
	PYTHONPATH=tools $(BIN)/python -m benchmarks.graphs.int8_speed
	PYTHONPATH=tools $(BIN)/python -m benchmarks.graphs.graph_forms
	PYTHONPATH=tools $(BIN)/python -m benchmarks.training
	PYTHONPATH=tools $(BIN)/python -m benchmarks.convolutions
	PYTHONPATH=tools $(BIN)/python -m benchmarks.full_size
	PYTHONPATH=tools $(BIN)/python -m benchmarks.view_geometry runs/view-geometry
	PYTHONPATH=tools $(BIN)/python -m benchmarks.synchronization
	PYTHONPATH=tools $(BIN)/python -m benchmarks.pairing
	PYTHONPATH=tools $(BIN)/python -m benchmarks.page
	PYTHONPATH=tools $(BIN)/python -m benchmarks.history
	PYTHONPATH=tools $(BIN)/python -m benchmarks.score_drift
	PYTHONPATH=tools $(BIN)/python -m benchmarks.metrics
	PYTHONPATH=tools $(BIN)/python -m benchmarks.changeover
	sh tools/system_packages.sh broker database
	PYTHONPATH=tools $(BIN)/python -m benchmarks.collector
	PYTHONPATH=tools $(BIN)/python -m benchmarks.opcua
	PYTHONPATH=tools $(BIN)/python -m benchmarks.shadow
	sh tools/system_packages.sh cameras
	PYTHONPATH=tools $(BIN)/python -m benchmarks.capture

faults: $(VENV)/.dev
	sh tools/system_packages.sh broker cameras database fleet
	PYTHONPATH=tools $(BIN)/python -m faults.run

mutants: $(VENV)/.dev
	sh tools/system_packages.sh broker
	$(PIP) --editable '.[mutants]'
	$(BIN)/python tools/mutation_score.py

docs: $(VENV)/.dev
	$(PIP) --editable '.[docs]'
	$(BIN)/python tools/write_reference.py --check
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build

reference: $(VENV)/.dev
	$(BIN)/python tools/write_reference.py

packages: deb

wheels: $(VENV)/.packages
	PYTHONPATH=tools $(BIN)/python -m packages.wheels -o dist/wheels

deb: wheels
	PYTHONPATH=tools $(BIN)/python -m packages.deb dist/wheels -o dist

sbom: wheels
	PYTHONPATH=tools $(BIN)/python -m packages.bill dist/wheels -o dist/edgeflow.cdx.json

container: wheels
	podman build --format docker $(if $(BASE),--build-arg BASE=$(BASE)) -f tools/packages/Containerfile -t edgeflow dist

demo-bundle: $(VENV)/.dev
	sh tools/system_packages.sh render
	PATH="$(CURDIR)/$(BIN):$$PATH" sh tools/demo/build.sh

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(BIN)/python:
	PYTHON="$(PYTHON)" sh tools/system_packages.sh venv
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[demo]'
	touch $@

$(VENV)/.packages: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[packages]'
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) runs demo_output dist
