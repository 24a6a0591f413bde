"""Puts into the wheel the contrast pairs and the current bundle, and only that: models/CURRENT and the folder that it names."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        current = Path(self.root) / "models" / "CURRENT"
        if version == "editable":
            return
        build_data["force_include"][str(Path(self.root) / "data" / "contrast.jsonl")] = "svcnorm/contrast.jsonl"
        if not current.is_file():
            return
        name = current.read_text(encoding="utf-8").strip()
        build_data["force_include"][str(current)] = "svcnorm/models/CURRENT"
        for path in (current.parent / name).iterdir():
            if path.is_file():  # the float checkpoint stays out
                build_data["force_include"][str(path)] = f"svcnorm/models/{name}/{path.name}"
