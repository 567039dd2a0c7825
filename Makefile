# make train    set everything up and train the default config
# make lint     set everything up and check the code
# make test     set everything up and run the tests; in the template itself, after `make lint`

PYTHON ?= python3
# uv, where there is one, installs the same in a tenth of the time
ifneq ($(shell command -v uv),)
VENV = uv venv --quiet --allow-existing --seed --python $(PYTHON) .venv
PIP = uv pip install --quiet --python .venv/bin/python
else
VENV = $(PYTHON) -m venv .venv
PIP = .venv/bin/python -m pip install --disable-pip-version-check --quiet
endif

.PHONY: train lint test clean

train: .venv/installed
	.venv/bin/python train.py -c config.json

lint: .venv/installed-dev
	.venv/bin/ruff check --quiet
	.venv/bin/ruff format --check --quiet
	.venv/bin/basedpyright -p . --pythonpath .venv/bin/python

test: .venv/installed-dev $(if $(wildcard new_project.py),lint)
	.venv/bin/python -m pytest -q -n auto --maxprocesses 4

.venv/installed: requirements.txt
	$(VENV)
	$(PIP) -r requirements.txt
	touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(PIP) -r requirements-dev.txt
	touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
