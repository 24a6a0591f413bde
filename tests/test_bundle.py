import json

import pytest
from fakes import write_bundle

import svcnorm.bundle as bundles
from svcnorm import BundleError, Classifier
from svcnorm.bundle import FILES, open_bundle
from svcnorm.labels import NAMES
from svcnorm.lexical import Lexical


def edit_manifest(path, **changes):
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | changes))


def test_a_whole_folder_opens(tmp_path):
    bundle = open_bundle(write_bundle(tmp_path / "b1"))
    assert (bundle.id, bundle.max_tokens) == ("b1", 16)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(tmp_path, name):
    path = write_bundle(tmp_path / "b1")
    (path / name).unlink()
    with pytest.raises(BundleError, match=rf"b1/{name}: the file is missing"):
        open_bundle(path)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(tmp_path, name):
    path = write_bundle(tmp_path / "b1")
    (path / name).write_bytes((path / name).read_bytes() + b" ")
    with pytest.raises(BundleError, match=rf"b1/{name}: damaged: sha256 is"):
        open_bundle(path)


@pytest.mark.parametrize("content", ["{", "[]", "\xff\xfe"])
def test_a_manifest_that_is_no_json_object_is_damaged(tmp_path, content):
    path = write_bundle(tmp_path / "b1")
    (path / "manifest.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(BundleError, match=r"manifest.json: damaged"):
        open_bundle(path)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (NAMES[1:], f"lacks: {NAMES[0]}"),
        ((*NAMES, "sarcasm"), "has besides: sarcasm"),
        (NAMES[::-1], "another order"),
    ],
)
def test_a_model_of_another_label_set_is_refused_by_name_of_the_labels(tmp_path, labels, words):
    path = write_bundle(tmp_path / "b1")
    edit_manifest(path, labels=list(labels))
    with pytest.raises(BundleError, match=words):
        open_bundle(path)


def test_a_format_of_the_future_is_refused(tmp_path):
    path = write_bundle(tmp_path / "b1")
    edit_manifest(path, format=99)
    with pytest.raises(BundleError, match="format 99, this version reads format 3"):
        open_bundle(path)


def test_a_calibration_whose_band_does_not_hold_its_threshold_is_refused(tmp_path):
    path = write_bundle(tmp_path / "b1")
    content = json.loads((path / "calibration.json").read_text())
    content["labels"]["hold"]["low"] = 0.9
    (path / "calibration.json").write_text(json.dumps(content))
    bundles.write_manifest(path, id="b1", max_tokens=16)
    with pytest.raises(BundleError, match="does not hold for hold"):
        open_bundle(path)


def test_a_model_that_does_not_load_says_what_to_do(tmp_path):
    with pytest.raises(BundleError, match="cannot be loaded.*restore the folder"):
        Classifier.load(write_bundle(tmp_path / "b1"))


def test_no_model_is_an_error_unless_rules_are_asked_for(tmp_path):
    with pytest.raises(BundleError, match=r"no such model folder; .*Classifier.from_rules\(\)"):
        Classifier.load(tmp_path / "none")
    assert Classifier.load(tmp_path / "none", on_missing_model="rules").model is None


def test_an_installation_without_a_model_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "models_dir", lambda: tmp_path)
    with pytest.raises(BundleError, match="no model comes with this installation"):
        open_bundle()


def test_the_shipped_bundle_is_whole_and_has_no_pickle(classifier):
    bundle = open_bundle()
    assert classifier.model == bundle.id
    assert {p.suffix for p in bundle.path.rglob("*") if p.is_file()} <= {".safetensors", ".onnx", ".npz", ".json", ".md", ".svg", ".tsv"}
    Lexical.load(bundle.file("lexical.npz"))  # refuses pickled arrays
