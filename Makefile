# Thin lines over python -m scenarios, python -m fakes and pytest. `make` lists them.
PYTHON ?= python3
PY = $(shell test -f .venv/complete && echo .venv/bin/python || echo $(PYTHON))
export PYTHONDONTWRITEBYTECODE = 1
ifeq ($(origin AS),default)  # make's own AS is an assembler
AS =
endif

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 14

scenario:  ## one scenario: NAME=apache-alert [ACT=… FAULT='…' AS=book LIVE=site.toml OUT=dir]
	@$(PY) -m scenarios run $(or $(NAME),$(error say which: make scenario NAME=apache-alert)) \
	  $(if $(ACT),--act '$(ACT)') $(if $(FAULT),--fault '$(FAULT)') $(if $(AS),--as '$(AS)') \
	  $(if $(LIVE),--live '$(LIVE)') $(if $(OUT),--out '$(OUT)')

scenarios:  ## every scenario: name, one line, section, protocols
	@$(PY) -m scenarios list

faults:  ## every scenario (or NAME=…) under each fault it lists and each drill it knows
	@$(PY) -m scenarios faults $(NAME)

fakes:  ## the servers, on their default ports, until Ctrl-C
	@$(PY) -m fakes

test: .venv/complete  ## prove it
	@.venv/bin/python -m pytest

check: .venv/complete  ## lint, types, test
	@.venv/bin/python -m ruff check --no-cache .
	@.venv/bin/python -m ruff format --no-cache --check .
	@.venv/bin/python -m mypy --cache-dir=.venv/mypy
	@.venv/bin/python -m pytest

test-real: .venv/complete  ## against real servers (needs root for Postfix, and Debian's packages)
	@.venv/bin/python -m pytest -m real

bench: .venv/complete  ## how fast, as ratios within one run
	@.venv/bin/python -m tests.bench

rfc:  ## what of each RFC and XEP is done, with code and transcript
	@$(PY) -m tests.standards

.venv/complete: pyproject.toml .ci/venv.py
	@$(PYTHON) .ci/venv.py
	@touch .venv/complete

.PHONY: help scenario scenarios faults fakes test check test-real bench rfc
