import numpy as np
import pyarrow as pa
import pytest

from roundtrip.contracts.errors import SnapshotUnusable
from roundtrip.training.rows import RARE_BELOW, training_data, vocabulary
from tests.roundtrip.training.tiny import TINY, tiny_rows


def test_missing_numbers_and_categories_become_nan_and_id_0() -> None:
    table = tiny_rows()
    rows = training_data(TINY, table, table).train
    assert rows.numbers[:, 1].isnan().tolist() == [value is None for value in table["wind"].to_pylist()]
    assert (rows.categories[:, 0] == 0).tolist() == [value is None for value in table["colour"].to_pylist()]
    assert rows.labels.tolist() == pytest.approx(table["late"].to_pylist(), rel=1e-6)


def test_rare_values_stay_out_of_the_vocabulary() -> None:
    colours = ["green"] * (RARE_BELOW - 1) + ["red"] * RARE_BELOW + [None] * RARE_BELOW
    assert vocabulary(TINY, [pa.table({"colour": colours[:30]}), pa.table({"colour": colours[30:]})]) == {"colour": ["red"]}


def test_the_vocabulary_does_not_depend_on_the_order_of_rows() -> None:
    table = tiny_rows()
    shuffled = table.take(np.random.default_rng(1).permutation(table.num_rows))
    assert vocabulary(TINY, [shuffled]) == vocabulary(TINY, [table])


def test_values_that_only_the_held_out_rows_have_are_unknown() -> None:
    held_out = tiny_rows(50)
    held_out = held_out.set_column(held_out.column_names.index("colour"), "colour", [["violet"] * 50])
    assert training_data(TINY, tiny_rows(), held_out).held_out.categories.unique().tolist() == [0]


@pytest.mark.parametrize(("train", "held_out"), [(0, 10), (10, 0)])
def test_a_snapshot_without_rows_is_refused(train: int, held_out: int) -> None:
    with pytest.raises(SnapshotUnusable, match="has no"):
        training_data(TINY, tiny_rows(train), tiny_rows(held_out))


def test_a_row_without_a_label_is_refused() -> None:
    table = tiny_rows(50)
    broken = table.set_column(table.column_names.index("late"), "late", [[None] + [1.0] * 49])
    with pytest.raises(SnapshotUnusable, match="1 of 50 rows have no late"):
        training_data(TINY, broken, table)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(SnapshotUnusable, match="no column 'wind'"):
        training_data(TINY, tiny_rows().drop_columns(["wind"]), tiny_rows())
