# `make test` and `make leaderboard` each start from a bare clone: they make .venv, install into it, run.

BIN := .venv/bin
READY := .venv/ready

# A variable that no goal reads is a misspelt one.
VARIABLES_leaderboard := CORPUS ROOT MODELS SEEDS PUBLISH
VARIABLES_claims := ONLY
VARIABLES_mutations := COUNT
VARIABLES_bench := ONLY GRID
VARIABLES_gpu := STAGE PYTHON
READ := $(foreach goal,$(MAKECMDGOALS),$(VARIABLES_$(goal)))
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
UNREAD := $(filter-out $(READ),$(GIVEN))
ifneq ($(UNREAD),)
$(error $(firstword $(UNREAD)) means nothing to `make $(MAKECMDGOALS)`: there is $(or $(READ),no variable))
endif
ifneq ($(filter-out 0 1,$(PUBLISH)),)
$(error PUBLISH=$(PUBLISH): give PUBLISH=1 or leave it out)
endif

.PHONY: all test test-all lint mutations leaderboard claims bench gpu clean
all: $(READY)

$(READY): pyproject.toml constraints.txt
	@python=""; for name in python3.12 python3.11 python3 python; do \
	  if $$name -c 'import sys; raise SystemExit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; \
	  then python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then echo "make: avsr-bench needs Python 3.11 or 3.12 on the PATH" >&2; exit 1; fi; \
	[ -x $(BIN)/pip ] || $$python -m venv .venv || { rm -rf .venv; \
	  echo "make: $$python cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "installing into .venv: 7 GB and a few minutes the first time"
	@start=$$(date +%s); \
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[synth,cluster,export,int8,label,s3,dev]' \
	&& { $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[enhance]' \
	  || echo "make: PESQ of enhanced sound will be missing: its package wants a C compiler" >&2; } \
	&& echo $$(($$(date +%s) - start)) > $@

test: $(READY)
	$(BIN)/pytest -n auto --dist worksteal -m "not slow"

test-all: $(READY)
	$(BIN)/pytest -n auto --dist worksteal --durations=30

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Damaged files of every kind through the commands that read them; COUNT=10000 takes hours.
COUNT := 500
mutations: $(READY)
	$(BIN)/python -m benchmarks.mutations --count $(COUNT)

# make leaderboard CORPUS=grid ROOT=/data/grid MODELS=dense,msrs SEEDS=0,1,2; PUBLISH=1 writes the pages that are committed.
CORPUS := synth
leaderboard: $(READY)
	@$(BIN)/avsr-bench leaderboard make --corpus '$(CORPUS)' $(if $(ROOT),--root '$(ROOT)') \
	  $(if $(MODELS),--models '$(MODELS)') \
	  $(if $(SEEDS),--seeds '$(SEEDS)') $(if $(filter 1,$(PUBLISH)),--publish)
	@echo "environment: made in $$(cat $(READY)) s"

# make claims ONLY="--depths 8 --seeds 0"; hours for all of it, and every cell is kept
claims: $(READY)
	$(BIN)/python -m benchmarks.claims $(ONLY)

bench: $(READY)
	$(BIN)/python -m benchmarks $(ONLY) $(GRID)

# make gpu STAGE=step: at most 8 minutes. PYTHON=python3 takes a Python that has torch for the card; none: the project's.
gpu: $(if $(PYTHON),,$(READY))
	$(or $(PYTHON),$(BIN)/python) -m benchmarks.gpu $(STAGE)

clean:
	rm -rf .venv
