"""models/: whatever happens on the way, the current bundle is a whole one."""

import errno
import json
import shutil
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner
from fakes import write_bundle

from svcnorm import registry
from svcnorm.bundle import MANIFEST, open_bundle
from svcnorm.cli import main
from svcnorm.errors import BundleError, SvcnormError


@pytest.fixture
def models(tmp_path):
    """A folder with a current bundle, "old", and beside it a bundle to promote."""
    folder = tmp_path / "models"
    registry.promote(write_bundle(tmp_path / "old"), folder)
    write_bundle(tmp_path / "new")
    (tmp_path / "new" / "checkpoint").mkdir()
    (tmp_path / "new" / "checkpoint" / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_promoted_bundle_is_current_and_knows_where_it_comes_from(models):
    assert registry.promote(models.parent / "new", models, data="d1", gates=[{"figure": "micro_f1", "passed": True}]) == "new"
    assert registry.current(models) == "new"
    lineage = open_bundle(models / "new").manifest["lineage"]
    assert lineage["parent"] == "old"
    assert lineage["data"] == "d1"
    assert lineage["gates"] == [{"figure": "micro_f1", "passed": True}]
    assert lineage["by"]
    assert (models / "new" / "checkpoint" / "model.safetensors").read_bytes() == b"weights"
    assert [line.split("**")[1] for line in (models / "CHANGELOG.md").read_text().splitlines() if "**" in line] == ["old", "new"]


def test_rolling_back_goes_to_the_parent_and_no_further(models):
    registry.promote(models.parent / "new", models)
    assert registry.rollback(models) == "old"
    assert registry.current(models) == "old"
    with pytest.raises(BundleError, match="old replaced no other bundle"):
        registry.rollback(models)


def test_promoting_what_is_there_already_only_switches_to_it(models):
    registry.promote(models.parent / "new", models)
    registry.rollback(models)
    lineage = open_bundle(models / "new").manifest["lineage"]
    registry.promote(models.parent / "new", models)
    assert registry.current(models) == "new"
    assert open_bundle(models / "new").manifest["lineage"] == lineage


def test_a_damaged_bundle_is_not_promoted(models):
    (models.parent / "new" / "model.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match="damaged"):
        registry.promote(models.parent / "new", models)
    assert registry.current(models) == "old"


@pytest.mark.parametrize("full_at", ["copytree", "fsync"])
def test_a_full_disk_leaves_the_old_bundle_current_and_nothing_behind(models, monkeypatch, full_at):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil if full_at == "copytree" else registry.os, full_at, full)
    with pytest.raises(BundleError, match="old stays current: No space left on device"):
        registry.promote(models.parent / "new", models)
    monkeypatch.undo()
    assert registry.current(models) == "old"
    open_bundle(models / "old")
    assert {p.name for p in models.iterdir()} == {"CURRENT", "CHANGELOG.md", "old"}
    assert registry.promote(models.parent / "new", models) == "new"


KILLED = """
import os, signal, sys
from pathlib import Path
from svcnorm import registry
left = int(sys.argv[1])
def hook(event, args):
    global left
    if event in ("open", "os.rename", "os.mkdir", "os.remove", "shutil.copytree", "shutil.copyfile") and str(Path(sys.argv[2])) in str(args):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
registry.promote(Path(sys.argv[3]), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_kill_at_any_step_leaves_a_whole_current_bundle(models):
    """The process is killed before its first, second, … touch of the folder, until it comes through."""
    seen, steps = set(), 0
    while True:
        done = subprocess.run([sys.executable, "-c", KILLED, str(steps), str(models), str(models.parent / "new")], check=False)
        seen.add(open_bundle(models / registry.current(models)).id)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        if registry.current(models) == "new":  # killed behind the switch: the next round starts from the old one again
            (models / "CURRENT").write_text("old\n")
        shutil.rmtree(models / "new", ignore_errors=True)
        steps += 1
    assert steps > 20
    assert seen == {"old", "new"}


def test_a_comparison_with_a_failed_gate_is_refused_and_says_which(models, tmp_path):
    bad = tmp_path / "comparison.json"
    bad.write_text(
        json.dumps(
            {"gates": [{"figure": "label_f1", "passed": False, "failed": ["hold"]}, {"figure": "micro_f1", "passed": True, "failed": []}]}
        )
    )
    with pytest.raises(SvcnormError, match="gates failed: label_f1: hold"):
        registry.passed_gates(bad)
    done = CliRunner().invoke(main, ["model", "promote", str(models.parent / "new"), "--comparison", str(bad), "--models", str(models)])
    assert done.exit_code == 2
    assert registry.current(models) == "old"


def test_the_commands_promote_list_and_roll_back(models):
    run = lambda *args: CliRunner().invoke(main, ["model", *args, "--models", str(models)])  # noqa: E731
    assert run("promote", str(models.parent / "new")).output == "new\n"
    (models / "broken").mkdir()
    (models / "broken" / MANIFEST).write_text("{")
    lines = run("list").output.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["*", "new"], ["old", lines[2].split()[1]]]
    assert run("rollback").output == "old\n"
    done = run("rollback")
    assert done.exit_code == 2
    assert "nothing to go back to" in done.output
