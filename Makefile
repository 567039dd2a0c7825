# make train    set everything up and train the default config
# make test     set everything up, check the code and run the tests

PYTHON ?= python3
PIP = .venv/bin/python -m pip install --disable-pip-version-check --quiet

.PHONY: train test clean

train: .venv/installed
	.venv/bin/python train.py -c config.json

test: .venv/installed-dev
	.venv/bin/ruff check --quiet
	.venv/bin/ruff format --check --quiet
	.venv/bin/basedpyright --pythonpath .venv/bin/python
	.venv/bin/python -m pytest -q -n auto --maxprocesses 4

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements.txt
	touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(PIP) -r requirements-dev.txt
	touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
