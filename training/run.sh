#!/usr/bin/env bash
# From nothing to a measured bundle: what `make train` does, stage by stage. Usage: training/run.sh [CONFIG] [--promote]
# Each stage leaves its files in build/<name>/<stage>/ and done.json last; what is unchanged is skipped, a killed `train` goes on from its last epoch.
set -euo pipefail
cd "$(dirname "$0")/.."
config=${1:-training/configs/base.yaml}
shift || true
python=${PYTHON:-.venv/bin/python}

for stage in prepare train calibrate export; do  # the base is built on the way: python -m training.base
  "$python" -m training --config "$config" --until "$stage"
done
exec "$python" -m training --config "$config" "$@" # evaluate; with --promote the result becomes the shipped bundle
