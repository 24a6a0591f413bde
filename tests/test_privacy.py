"""Personal data found and masked; all numbers here are made up."""

import pytest

from svcnorm.privacy import find_personal_data, mask


@pytest.mark.parametrize(
    ("text", "masked", "kinds"),
    [
        ("您的手机是13800138000吗", "您的手机是00000000000吗", ["phone"]),
        ("138 0013 8000 对吧", "000 0000 0000 对吧", ["phone"]),
        ("＋８６－１３８００１３８０００", "＋００－０００００００００００", ["phone"]),
        ("座机0871-65432100", "座机0000-00000000", ["phone"]),
        ("身份证11010519491231002X核对一下", "身份证000000000000000000核对一下", ["identity_card"]),
        ("卡号6222 0212 3456 7894", "卡号0000 0000 0000 0000", ["bank_card"]),
        ("车牌云A·D12345和粤b8k9z6", "车牌云0·000000和粤000000", ["plate", "plate"]),
        ("工单20240131000123，请拨96128", "工单20240131000123，请拨96128", []),
        ("卡号6222021234567890", "卡号6222021234567890", []),
        ("京东的订单", "京东的订单", []),
    ],
)
def test_personal_data_is_masked_character_for_character_and_the_rest_stays(text, masked, kinds):
    full = masked.translate(str.maketrans("０", "0"))
    assert [p.kind for p in find_personal_data(text)] == kinds
    assert mask(text) == full
    assert len(mask(text)) == len(text)
    assert mask(mask(text)) == full
