"""The linear half of a model."""

import numpy as np
import pytest

from svcnorm.errors import BundleError
from svcnorm.labels import NAMES
from svcnorm.lexical import Lexical, indices

SIZE = 4096


@pytest.fixture
def lexical():
    rng = np.random.default_rng(0)
    n = len(NAMES)
    return Lexical(rng.integers(-127, 128, (SIZE, n)).astype(np.int8), rng.random(n).astype(np.float32), rng.random(n).astype(np.float32))


def overlap(a, b):
    return len(set(indices(a, 10**9)) & set(indices(b, 10**9)))


def test_each_ngram_of_characters_and_of_syllables_and_each_pair_counts_once_and_the_ends_count_too():
    assert len(indices("好", 10**9)) == 6 + 6 + 1  # ^ 好 $ ^好 好$ ^好$, the same as syllables, and ^…$
    found = indices("好好好好好好", 10**9).tolist()
    assert found == sorted(set(found))


def test_a_character_of_the_same_sound_keeps_the_syllables():
    assert overlap("帮您查询一下", "帮您查寻一下") > overlap("帮您查询一下", "帮您查看一下")


def test_a_pair_is_the_same_whatever_stands_between_and_another_one_the_other_way_round():
    assert overlap("不去行", "不来行") == overlap("不去行", "不甲乙行")
    assert overlap("天甲乙丙地", "天子丑寅地") > overlap("天甲乙丙地", "地子丑寅天")


def test_the_numbers_of_features_are_those_that_stored_weights_were_fitted_to():
    assert indices("请稍等", 2**18)[:5].tolist() == [12895, 19829, 25340, 38865, 56940]


def test_what_the_tokenizer_folds_is_folded_here_too():
    assert (indices("您的尾号3507", SIZE) == indices("你的尾号8842", SIZE)).all()
    assert (indices("ＡＢＣ電話", SIZE) == indices("abc电话", SIZE)).all()


def test_logits_are_the_scaled_mean_of_the_weights_of_the_features(lexical):
    found = indices("请稍等", SIZE)
    expected = lexical.weight[found].astype(float).sum(0) * lexical.scale / np.sqrt(len(found)) + lexical.intercept
    assert lexical.logits(["您好", "请稍等"])[1] == pytest.approx(expected, rel=1e-5)


def test_a_sentence_has_the_same_logits_in_any_company(lexical):
    assert (lexical.logits(["您好", "请稍等"])[1] == lexical.logits(["请稍等"])[0]).all()
    assert lexical.logits([]).shape == (0, len(NAMES))


@pytest.mark.parametrize("text", ["", "\ud800", "😀" * 300])
def test_any_text_has_finite_logits(lexical, text):
    assert np.isfinite(lexical.logits([text])).all()


def test_saving_and_loading_change_nothing(lexical, tmp_path):
    lexical.save(tmp_path / "lexical.npz")
    again = Lexical.load(tmp_path / "lexical.npz")
    assert (again.logits(["请稍等"]) == lexical.logits(["请稍等"])).all()


def test_another_file_or_shape_or_a_pickle_is_refused(tmp_path, lexical):
    path = tmp_path / "lexical.npz"
    for arrays in ({"weight": lexical.weight}, {"weight": lexical.weight[:, :3], "scale": lexical.scale, "intercept": lexical.intercept},
                   {"weight": lexical.weight.astype(float), "scale": lexical.scale, "intercept": lexical.intercept},
                   {"weight": np.array([{}], object), "scale": lexical.scale, "intercept": lexical.intercept}):  # fmt: skip
        np.savez(path, **arrays)
        with pytest.raises(BundleError, match=r"lexical\.npz"):
            Lexical.load(path)
    path.write_bytes(b"no archive")
    with pytest.raises(BundleError, match="cannot be loaded"):
        Lexical.load(path)
