# Thin lines over python -m scenarios, python -m fakes and pytest. `make` lists them.
PYTHON ?= python3
# The virtual environment. Each Python version has its own: PYTHON=python3.13 VENV=.venv.3.13
VENV = .venv
PY = $(shell test -f $(VENV)/complete && echo $(VENV)/bin/python || echo $(PYTHON))
export PYTHONDONTWRITEBYTECODE = 1
ifeq ($(origin AS),default)  # make's own AS is an assembler
AS =
endif
# $(call quoted,TEXT) is one word of the shell. $(call option,--act,ACT) is an option with the value
# of a variable, if it has one: as it was typed, because a $ in it is not make's.
quoted = '$(subst ','\'',$(1))'
option = $(if $(value $(2)),$(1) $(call quoted,$(value $(2))))

# A misspelled variable is an error: make itself would ignore it in silence.
KNOWN = NAME ACT FAULT AS DIFF LIVE STEP KEEP OUT WIRE CLAIMS MENDED K SEED SERVER PYTHON VENV \
  GROUP BEFORE DOORS N KEPT NOTICES POINTS RUNS PARTS
GIVEN = $(foreach any-variable,$(.VARIABLES),$(if $(findstring command \
  line,$(origin $(any-variable))),$(any-variable)))
UNKNOWN = $(firstword $(filter-out $(KNOWN) MAKEOVERRIDES -%,$(GIVEN)))
define UNKNOWN_TEXT
import sys; from comms.suggest import did_you_mean; word, *known = sys.argv[1:]; \
print("unknown variable " + word + did_you_mean(word.upper(), known) + "; choose from:", *known)
endef
ifneq ($(UNKNOWN),)
$(error $(shell $(PY) -c $(call quoted,$(UNKNOWN_TEXT)) $(call quoted,$(UNKNOWN)) $(KNOWN)))
endif

# So is one that has no effect: `make faults ACT=…` would play all acts.
USED_scenario = NAME ACT FAULT AS MENDED LIVE OUT WIRE CLAIMS STEP DIFF KEEP
USED_report = NAME ACT FAULT AS MENDED OUT
USED_record = NAME
USED_faults = NAME
USED_doors =
USED_live = NAME OUT
USED_tickets = OUT
PLAYS = $(filter scenario report record faults doors live tickets,$(MAKECMDGOALS))
USED = $(strip $(foreach goal,$(PLAYS),$(USED_$(goal))))
UNUSED = $(firstword $(foreach one,$(filter-out $(USED),$(filter $(USED_scenario),$(GIVEN))), \
  $(if $(value $(one)),$(one))))
ifneq ($(and $(PLAYS),$(UNUSED)),)
$(error make $(PLAYS) does not use $(UNUSED); $(if $(USED),choose from: $(USED),leave it out))
endif

# The tests start many processes, so their bytecode is kept. It is kept where Python and pip keep
# theirs: elsewhere, the standard library and all packages would have to be compiled again.
PYTEST = PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX= $(VENV)/bin/python -m pytest
# Few tests are faster without further processes. worksteal: the slow tests are in few files, and a
# process that has finished its tests takes half of what another one still has.
PARALLEL = $(if $(K),$(call option,-k,K),-n logical --maxprocesses=8 --dist worksteal)
COVERAGE = COVERAGE_FILE=$(VENV)/coverage $(VENV)/bin/python -m coverage
SHELLS = $(VENV)/bin/python -c \
  'from tests.test_rules import SHELLS; print(*SHELLS, sep=",")'
# Plugins that others wrote, which nothing else here needs, in a virtual environment of their own.
PLUGINS = 'pytest>=9,<10' 'aiosmtpd>=1.4,<2' 'smtpdfix>=0.5,<0.6' 'pytest-localserver>=0.10,<0.11'
# Servers that others wrote.
PEERS = dovecot-core dovecot-pop3d dovecot-lmtpd prosody ejabberd postfix
# .ci/run measures the time of each part. It names a file, in which each part notes its beginning.
PARTS =
begins = @$(if $(PARTS),echo "$(1) $$(date +%s)" >>'$(PARTS)')

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 14

scenario:  ## one scenario: NAME=apache-alert [ACT=… FAULT='…' AS=book LIVE=site.toml OUT=dir]
	@$(PY) -m scenarios run \
	  $(or $(call option,,NAME),$(error say which: make scenario NAME=apache-alert)) \
	  $(call option,--act,ACT) $(call option,--fault,FAULT) $(call option,--as,AS) \
	  $(call option,--mended,MENDED) $(call option,--live,LIVE) $(call option,--out,OUT) \
	  $(call option,--wire,WIRE) $(if $(CLAIMS),--claims) $(if $(STEP),--step) $(if $(DIFF),--diff) \
	  $(if $(KEEP),--keep)

scenarios:  ## every scenario: name, one line, section, protocols
	@$(PY) -m scenarios list

report:  ## a picture of each act: NAME=apache-alert [ACT=… FAULT='…' AS=book OUT=dir]
	@$(PY) -m scenarios report \
	  $(or $(call option,,NAME),$(error say which: make report NAME=apache-alert)) \
	  $(call option,--act,ACT) $(call option,--fault,FAULT) $(call option,--as,AS) \
	  $(call option,--mended,MENDED) $(call option,--out,OUT)

record:  ## write what a run prints into tests/stories: NAME=apache-alert, or NAME=all
	@$(PY) -m scenarios record \
	  $(or $(call option,,NAME),$(error say which: make record NAME=apache-alert))

faults:  ## every scenario (or NAME=…) under each fault it lists and each drill it knows
	@$(PY) -m scenarios faults $(call option,,NAME)

doors:  ## every act that reads mail, over POP3 and over IMAP
	@$(PY) -m scenarios doors

live:  ## a scenario's program on fake servers in real time, until Ctrl-C: NAME=mysql-by-mail
	@$(PY) -m scenarios live \
	  $(or $(call option,,NAME),$(error say which: make live NAME=mysql-by-mail)) \
	  $(call option,--out,OUT)

tickets:  ## tickets with sample mail, on http://127.0.0.1:8026/, until Ctrl-C
	@$(PY) -m scenarios live tickets $(call option,--out,OUT)

fakes:  ## the servers, on their default ports, until Ctrl-C
	@$(PY) -m fakes

test: $(VENV)/complete  ## the tests that are quick; K=pattern chooses some of them
	@$(PYTEST) $(PARALLEL)

check: lint types tests  ## lint, layout, types, and all tests but those of test-real

lint: $(VENV)/complete
	$(call begins,lint)
	@$(VENV)/bin/python -m ruff check --no-cache .
	@$(VENV)/bin/python -m ruff format --no-cache --check .

types: $(VENV)/complete
	$(call begins,types)
	@$(VENV)/bin/python -m mypy --cache-dir=$(VENV)/mypy

tests: $(VENV)/complete
	$(call begins,tests)
	@$(PYTEST) $(PARALLEL) -m 'not soak and not real and not browser'

coverage: $(VENV)/complete  ## lines and branches of the fakes' cores that no test reaches (aim: 98 %)
	@$(COVERAGE) run -m pytest -m 'not soak and not real and not browser'; status=$$?; \
	  $(COVERAGE) report --omit="$$($(SHELLS))" && exit $$status

test-real: $(VENV)/complete  ## against real servers (needs root for Postfix, and Debian's packages)
	$(call begins,test-real)
	@$(PYTEST) $(if $(K),$(call option,-k,K),-n logical --maxprocesses=4 --dist loadfile) \
	  -m 'real or browser'

bench: $(VENV)/complete  ## how fast, as ratios within one run; GROUP=smtp chooses some rows
	@$(VENV)/bin/python -m tests.bench $(GROUP) $(call option,--before,BEFORE)

bench-peers:  ## install the servers and plugins that `make bench` compares ours with (needs root)
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $(PEERS)
	$(PYTHON) -m venv .venv.peers
	.venv.peers/bin/python -m pip install -q $(PLUGINS)

worst: $(VENV)/complete  ## processor time for the worst inputs of each door; DOORS='mail xmpp'
	@$(VENV)/bin/python -m tests.worst_inputs $(DOORS)

soak: $(VENV)/complete  ## memory under load (N=1000000 NOTICES=1000000), then tests of all there is
	@N='$(N)' SEED='$(SEED)' KEPT='$(KEPT)' $(VENV)/bin/python -m tests.soak
	@NOTICES='$(NOTICES)' SEED='$(SEED)' $(VENV)/bin/python -m tests.soak_notices
	@RUNS='$(RUNS)' $(VENV)/bin/python -m tests.soak_plugin
	@HYPOTHESIS_PROFILE=soak $(PYTEST) $(PARALLEL) -m 'not real and not browser' \
	  --hypothesis-seed=$(or $(SEED),$(shell date +%s))
	@POINTS='$(POINTS)' SEED='$(SEED)' $(VENV)/bin/python -m tests.soak_tickets

conform: $(VENV)/complete  ## probes for each RFC, at ours and others, or SERVER=smtp://HOST:PORT
	@$(VENV)/bin/python -m tests.conform_servers $(call option,,SERVER)

rfc:  ## which sections of each RFC and XEP are implemented, and where
	@$(PY) -m tests.standards

$(VENV)/complete: pyproject.toml .ci/venv.py
	@$(PYTHON) .ci/venv.py $(VENV)
	@touch $(VENV)/complete

.PHONY: help scenario scenarios report record faults doors live tickets fakes test check lint types \
  tests coverage test-real bench bench-peers worst soak rfc conform
