"""The pipeline on one page: base -> prepare -> train -> lexical -> calibrate -> export -> evaluate -> promote.

    python -m training [--config training/configs/base.yaml] [--set KEY=VALUE …] [--promote]

Stages pass files only, each in a folder of its own under --work; a stage whose inputs have not changed is skipped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import yaml

from svcnorm.bundle import locate
from training import calibrate, evaluate, export, lexical, prepare, promote, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("training/configs/base.yaml"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of the configuration")
    parser.add_argument("--base-model", help="a model directory or a hub name; default: the encoder that training/base.py builds")
    parser.add_argument("--work", type=Path, help="folder of the stages; default: build/<name of the configuration>")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument(
        "--until",
        choices=("prepare", "train", "lexical", "calibrate", "export"),
        help="stop after this stage: to compare recipes on the held-back part",
    )
    parser.add_argument("--promote", action="store_true", help="make the result the shipped bundle")
    args = parser.parse_args()
    config = yaml.safe_load(args.config.read_text(encoding="utf-8"))
    for pair in args.set:
        key, _, value = pair.partition("=")
        if key not in config:
            parser.error(f"--set: {args.config} has no key {key!r}; it has {', '.join(config)}")
        config[key] = yaml.safe_load(value)
    if args.base_model:
        config["base_model"] = args.base_model
    work = args.work or Path("build") / config["name"]

    current = lambda name: os.path.relpath(locate(None) / "checkpoint") if name == "current" else name  # noqa: E731
    base = config["base_model"] = current(config["base_model"])
    for key in ("teachers", "average"):
        config[key] = [current(name) for name in config[key]]
    if base == "build/encoder":
        subprocess.run([sys.executable, "-m", "training.base", "--out", base], check=True)
    stages = {
        "prepare": lambda: prepare.run(config, work / "prepared"),
        "train": lambda: train.run(config, base, work / "prepared", work / "trained"),
        "lexical": lambda: lexical.run(config, work / "prepared", work / "lexical"),
        "calibrate": lambda: calibrate.run(config, work / "prepared", work / "trained", work / "lexical", work / "calibrated"),
        "export": lambda: export.run(work / "trained", work / "exported"),
    }
    for name, run in stages.items():
        run()
        if name == args.until:
            return
    evaluate.run(config, *(work / done for done in ("prepared", "trained", "lexical", "calibrated", "exported", "evaluated")))
    if args.promote:
        print("current bundle:", promote.run(work / "evaluated", args.models))


if __name__ == "__main__":
    main()
