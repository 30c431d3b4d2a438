import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.contracts.model_contract import ModelContract
from roundtrip.contracts.use_cases import Input, Output

CONTRACT = ModelContract(
    use_case="toy",
    inputs=(
        Input(name="colour", kind="category", unit="name", meaning="colour"),
        Input(name="size", kind="number", unit="m", meaning="size", minimum=0, maximum=9),
    ),
    outputs=(Output(name="minutes", unit="min", quantile=0.5),),
    baseline_column="size",
    vocabulary={"colour": ["blue", "red"]},
)


def test_the_contract_survives_json() -> None:
    assert ModelContract.from_json(CONTRACT.to_json()) == CONTRACT


def test_unknown_and_missing_values_are_encoded_as_such() -> None:
    numbers, categories = CONTRACT.encode({"colour": ["red", "green", None], "size": [1.5, None, 3]})
    assert categories.tolist() == [[2], [0], [0]]
    assert np.isnan(numbers[1, 0])
    assert numbers[[0, 2], 0].tolist() == [1.5, 3.0]


def test_a_column_that_is_left_out_is_missing_everywhere() -> None:
    numbers, categories = CONTRACT.encode({"size": [1.0, 2.0]})
    assert categories.tolist() == [[0], [0]]
    assert numbers.tolist() == [[1.0], [2.0]]


@given(st.lists(st.sampled_from(["blue", "red", "green", None]), min_size=1))
def test_encoding_a_batch_is_encoding_each_row(colours: list[str | None]) -> None:
    _, together = CONTRACT.encode({"colour": colours})
    alone = [CONTRACT.encode({"colour": [colour]})[1][0, 0] for colour in colours]
    assert together[:, 0].tolist() == alone
