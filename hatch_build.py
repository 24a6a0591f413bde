"""Puts the current bundle, and only that, into the wheel: models/CURRENT and the folder that it names go to svcnorm/models/."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        current = Path(self.root) / "models" / "CURRENT"
        if version == "editable" or not current.is_file():
            return
        name = current.read_text(encoding="utf-8").strip()
        build_data["force_include"][str(current)] = "svcnorm/models/CURRENT"
        build_data["force_include"][str(current.parent / name)] = f"svcnorm/models/{name}"
