"""What is imported when, and which way imports point."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "svcnorm"
LAYERS = [
    {"errors"},
    {"labels"},
    {"results"},
    {"flat"},
    {"text", "literals", "calibration", "examples", "noise"},
    {"norms", "bundle", "evaluation", "lexical", "privacy", "tables", "mapping"},
    {"checks", "registry", "datacheck", "selection", "forms", "verdicts"},
    {"model", "fusion", "labelling"},
    {"classifier"},
    {"calls", "assessment"},
    {"rulestats", "report", "terminal", "schema", "batches", "preannotation"},
    {"serve", "commands_data", "fileforms"},
    {"bulk", "spark"},
    {"cli"},
    {"__main__"},
]


def imported(code: str) -> set[str]:
    loaded = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout
    return {name.partition(".")[0] for name in loaded.split()}


def test_importing_svcnorm_pulls_the_standard_library_and_numpy_only():
    before, after = imported("import numpy"), imported("import svcnorm")
    third_party = {m for m in after - before - {"svcnorm"} if m not in sys.stdlib_module_names and not m.startswith("_")}
    assert third_party == set()


def test_labelling_needs_neither_torch_nor_transformers():
    assert not {"torch", "transformers", "datasets", "sklearn"} & imported("import svcnorm; svcnorm.Classifier.load().predict('您好')")


def test_rules_alone_need_no_onnxruntime():
    assert not {"onnxruntime", "tokenizers"} & imported("import svcnorm; svcnorm.Classifier.from_rules().predict('您好')")


def test_imports_point_strictly_downward():
    rank = {module: i for i, layer in enumerate(LAYERS) for module in layer}
    modules = {p.stem for p in PACKAGE.glob("*.py")} - {"__init__"}
    assert modules == set(rank)
    for module in modules:
        for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("svcnorm."):
                target = node.module.split(".")[1]
                assert rank[target] < rank[module], f"{module} imports {target}"


def test_training_is_never_imported_by_the_library_and_nothing_is_pickled():
    for path in PACKAGE.glob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert "import training" not in code
        assert "from training" not in code
        assert "import pickle" not in code
        assert "trust_remote_code" not in code
