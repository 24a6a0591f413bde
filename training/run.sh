#!/usr/bin/env bash
# From nothing to a measured bundle, as `make train` does: base, prepare, train, lexical, calibrate, export, evaluate. Usage: training/run.sh [CONFIG] [--promote …]
# Each stage leaves its files in build/<name>/<stage>/ and done.json last; what is unchanged is skipped, a killed `train` goes on from its last epoch.
set -euo pipefail
cd "$(dirname "$0")/.."
config=${1:-training/configs/base.yaml}
shift || true
exec "${PYTHON:-.venv/bin/python}" -m training --config "$config" "$@"
