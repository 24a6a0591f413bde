PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
CONFIG ?= training/configs/base.yaml

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(VENV)/.plain  ## plain install (no torch), then label and audit the sample calls
	$(BIN)/svcnorm predict "您好，很高兴为您服务。这个我也没办法呀，您自己当时没看清楚吗？"
	for call in examples/*.jsonl; do $(BIN)/svcnorm audit $$call --lang zh || exit 1; done

setup: $(VENV)/.dev  ## development install: the library, the training stack, the test tools

test: $(VENV)/.dev  ## the whole suite
	$(BIN)/python -m pytest

check: $(VENV)/.dev  ## style, norms, and what represents each catalogue item
	$(BIN)/ruff check .
	$(BIN)/svcnorm norm check $$(ls svcnorm/rulebooks | sed 's/.yaml//')
	$(BIN)/python scripts/norm_coverage.py

train: $(VENV)/.dev  ## the pipeline: base, prepare, train, lexical, calibrate, export, evaluate (CONFIG=…)
	PYTHON=$(BIN)/python training/run.sh $(CONFIG)

promote: $(VENV)/.dev  ## the pipeline, and its result becomes the shipped bundle
	PYTHON=$(BIN)/python training/run.sh $(CONFIG) --promote

figures: $(VENV)/.dev  ## docs/figures.md: what the model and the rules reach and cost
	$(BIN)/python scripts/figures.py

benchmark: $(VENV)/.dev  ## docs/benchmark.md: svcnorm beside its peers, quality and cost (half an hour)
	$(PIP) install -c constraints.txt -e '.[benchmark]'
	$(BIN)/python -m training.base --out build/encoder
	$(BIN)/python -m benchmarks.peers

retrain: $(VENV)/.dev  ## docs/retraining.md: DATA="new.jsonl …" [TEST=held_out.jsonl] [ARGS=--promote]
	$(BIN)/python -m training.retrain --data $(DATA) $(if $(TEST),--test $(TEST)) $(ARGS)

new-customer: $(VENV)/.dev  ## docs/new-customer.md: retraining on a simulated customer (half an hour)
	$(BIN)/python -m scripts.new_customer

selection: $(VENV)/.dev  ## docs/selection.md: what picking sentences to label is worth over chance
	$(BIN)/python -m training.base --out build/encoder
	$(BIN)/python -m scripts.selection_simulation

screenshots: $(VENV)/.dev  ## docs/report-wide.png, docs/report-phone.png: the report of the shipped model (needs Chromium)
	$(BIN)/python -m scripts.screenshots

speed: $(VENV)/.dev  ## docs/speed.md (docs/speed-vnni.md on a processor with VNNI): beside transformers.pipeline and the machine's own rate (ten minutes, quiet machine)
	$(BIN)/python -m benchmarks.speed

bulk-figures: $(VENV)/.dev  ## docs/bulk-figures.md: long files beside short ones, rate and memory (a quarter of an hour)
	$(BIN)/python -m benchmarks.files

service-figures: $(VENV)/.dev  ## docs/service-figures.md: svcnorm serve beside predict_many, 32 clients at once (three minutes)
	$(BIN)/python -m benchmarks.service

spark-test: $(VENV)/.dev  ## the tests that need Spark (Java 17; pyspark, 490 MB, is not in the development install)
	$(PIP) install -c constraints.txt -e '.[spark]'
	$(BIN)/python -m pytest tests/test_spark.py

spark-benchmark: $(VENV)/.dev  ## docs/spark-figures.md: what Spark costs beside predict_many (half an hour)
	$(PIP) install -c constraints.txt -e '.[spark]'
	$(BIN)/python -m benchmarks.spark

learning-curve: $(VENV)/.dev  ## docs/learning-curve.md: what more sentences bring, and of what kind (an hour)
	$(BIN)/python -m scripts.learning_curve

data-report: $(VENV)/.dev  ## dataset card data/README.md and plots docs/data.html
	$(BIN)/python -m scripts.data_report

generated: $(VENV)/.dev  ## files that a script writes
	$(BIN)/python scripts/make_t2s.py
	$(BIN)/python scripts/make_sounds.py

clean:  ## remove what is built here
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt pip

$(VENV)/.plain: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.plain

.PHONY: help demo setup test check train promote figures benchmark retrain new-customer selection screenshots learning-curve data-report generated clean bulk-figures service-figures spark-test spark-benchmark speed
