# What a user types. The work is done by the `roundtrip` command, and by set_up.py before that exists.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint promtool down clean lock bench-audit bench-etl bench-faults bench-gateway bench-loop bench-monitoring bench-quality bench-readers bench-release-kills bench-serving bench-serving-faults bench-strategies bench-training bench-writers notebook two-hosts .roundtrip/bench .roundtrip/bench_peers .roundtrip/bench_mlserver
MONTHS ?= 6
FACTORS ?= 1,10,100

BIN := .roundtrip/venv/bin
# The first Python that really runs: pyenv leaves shims for versions that aren't selected.
PYTHON := $(shell for each in python3.11 python3.12 python3; do $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$each; break; }; done)
unexport PYTHONDONTWRITEBYTECODE  # with it every process of the stack would compile every module again

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## install everything into .roundtrip (the second time there is nothing to do)
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or 3.12 runs here. Debian, Ubuntu: apt install python3.11-venv"; exit 1; }
	@$(PYTHON) -m roundtrip.cli.set_up

demo: setup  ## the whole loop on real data, to June (MONTHS=12: the whole year)
	@$(BIN)/roundtrip demo --months $(MONTHS)

test: setup promtool lint  ## lint, unit tests, tests on the running stack, the loop end to end
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup

lint: setup  ## style, types, import rules, shell, SQL
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports
	@$(BIN)/shellcheck .ci/run
	@$(BIN)/sqlfluff lint sql

notebook: setup  ## look at the data and try a recipe, in JupyterLab; its address, with a token, is shown here and kept nowhere
	@$(BIN)/roundtrip up s3 mlflow
	@. .roundtrip/env; \
		export JUPYTER_CONFIG_DIR="$$ROUNDTRIP_HOME/jupyter" JUPYTER_DATA_DIR="$$ROUNDTRIP_HOME/jupyter" IPYTHONDIR="$$ROUNDTRIP_HOME/ipython"; \
		export PYTHONWARNINGS='ignore:IProgress not found'; \
		exec $(BIN)/jupyter lab --ip=127.0.0.1 --no-browser --allow-root --LabApp.news_url=None --LabApp.extension_manager=readonly \
		--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate --LabApp.default_url=/lab/tree/use_cases/flight_eta/explore.ipynb

# The package lists may be missing (then they are fetched), and so may apt: a machine without promtool skips the tests of the rules, and says so.
promtool:  ## unpack Debian's promtool into .roundtrip/, which tries the alert rules in the tests
	@command -v promtool > /dev/null || test -x .roundtrip/promtool/usr/bin/promtool || { mkdir -p .roundtrip/promtool && cd .roundtrip/promtool && \
		{ apt-get -qq download prometheus 2> /dev/null || { apt-get -qq update && apt-get -qq download prometheus; }; } && \
		dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb; } || echo "no promtool here: the tests of the alert rules will be skipped"

down:  ## stop all that was started
	@$(BIN)/roundtrip down

clean:  ## stop all that was started and remove .roundtrip
	@if [ -x $(BIN)/roundtrip ]; then for home in .roundtrip .roundtrip/end_to_end .roundtrip/bench_faults; do ROUNDTRIP_HOME=$$home $(BIN)/roundtrip down; done; fi
	@rm -rf .roundtrip

LOCK := $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock'
lock: setup  ## resolve the requirements anew
	@$(LOCK) requirements.in --excludes docker/local_stack/excluded.in --output-file requirements.txt
	@$(LOCK) docker/local_stack/triton_server.in --no-deps --output-file docker/local_stack/triton_server.txt
	@$(LOCK) docker/local_stack/triton_backend.in --output-file docker/local_stack/triton_backend.txt
	@$(LOCK) docker/local_stack/source_data.in --no-deps --output-file docker/local_stack/source_data.txt
	@$(LOCK) docker/local_stack/source_data_build.in --output-file docker/local_stack/source_data_build.txt
	@$(LOCK) benchmarks/etl/requirements.in --output-file benchmarks/etl/requirements.txt
	@$(LOCK) benchmarks/serving/requirements_peers.in --output-file benchmarks/serving/requirements_peers.txt
	@$(LOCK) benchmarks/serving/requirements_mlserver.in --output-file benchmarks/serving/requirements_mlserver.txt

bench-audit: setup  ## what checking a partition costs beside building it
	@$(BIN)/python -m benchmarks.audit

.roundtrip/bench: setup
	@test -x .roundtrip/bench/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .roundtrip/bench
	@$(BIN)/uv pip sync --quiet --require-hashes --python .roundtrip/bench/bin/python benchmarks/etl/requirements.txt

bench-etl: .roundtrip/bench  ## the ETL beside DuckDB and Polars, on 1, 10 and 100 times the year (hours; FACTORS=1,10 for less)
	@$(BIN)/python -m benchmarks.etl.run --factors $(FACTORS)

bench-strategies: .roundtrip/bench  ## the network trained under every strategy
	@$(BIN)/python -m benchmarks.training.strategies

bench-training: .roundtrip/bench  ## rows a second beside plain PyTorch, checkpoints, start, memory
	@$(BIN)/python -m benchmarks.training.speed

bench-faults: .roundtrip/bench  ## ranks killed at random: the same weights, and how much of the time is useful
	@$(BIN)/python -m benchmarks.training.faults

bench-quality: .roundtrip/bench  ## the network beside boosted trees: January to August, tested on October to December
	@$(BIN)/python -m benchmarks.training.quality

bench-monitoring: .roundtrip/bench  ## drift: the year as the governor runs it, false alarms and power, a million rows beside Evidently (an hour)
	@$(BIN)/python -m benchmarks.monitoring.replayed_year
	@$(BIN)/python -m benchmarks.monitoring.alarms
	@$(BIN)/python -m benchmarks.monitoring.size

two-hosts: .roundtrip/bench  ## training over two hosts (network namespaces, so as root), whose cable is pulled in mid-training
	@$(BIN)/python -m benchmarks.training.two_hosts

bench-writers: setup  ## twenty processes publish to one table at the same time
	@set -a; . .roundtrip/env; $(BIN)/python -m benchmarks.concurrent_writers

bench-loop: setup  ## the same jobs run bare and through Airflow, compared
	@set -a; . .roundtrip/env; $(BIN)/python -m benchmarks.loop

bench-readers: setup  ## what bad rows cost, against a clean file of a million
	@$(BIN)/python -m benchmarks.readers

bench-gateway: setup  ## the gateway under load beside Triton itself (BEFORE=COMMIT: and beside an earlier gateway)
	@$(BIN)/roundtrip up gateway triton
	@$(BIN)/python -m benchmarks.serving.gateway_load $(if $(BEFORE),--before $(BEFORE))

.roundtrip/bench_peers .roundtrip/bench_mlserver: .roundtrip/bench_%: setup
	@test -x $@/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $@
	@$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python $@/bin/python benchmarks/serving/requirements_$*.txt

bench-serving: .roundtrip/bench_peers .roundtrip/bench_mlserver  ## the gateway beside MLServer, BentoML, Ray Serve, mlflow, FastAPI and Triton itself (ten minutes)
	@$(BIN)/roundtrip up gateway triton
	@$(BIN)/python -m benchmarks.serving.peers

bench-release-kills: setup  ## a release killed at a hundred random moments and run again, in a stack of its own (ten minutes)
	@$(BIN)/python -m benchmarks.serving.kill_points

bench-serving-faults: setup  ## releases, kills and outages under a constant load, in a stack of its own (ten minutes)
	@$(BIN)/python -m benchmarks.serving.faults
