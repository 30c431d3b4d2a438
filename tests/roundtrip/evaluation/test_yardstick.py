import subprocess
import sys

import numpy as np

from roundtrip.evaluation.yardstick import TreeRecipe, trees_answer
from roundtrip.training.rows import TrainingData, training_data
from tests.roundtrip.training.tiny import TINY, tiny_rows

RECIPE = TreeRecipe(rounds=60, rows_in_leaf=20)


def encoded(rows: int = 2000) -> TrainingData:
    return training_data(TINY, tiny_rows(rows), tiny_rows(500, seed=2))


def test_trees_learn_what_number_and_category_add_to_the_baseline() -> None:
    data = encoded()
    labels, start = data.held_out.labels.numpy(), data.held_out.numbers[:, 0].numpy()
    found = trees_answer(data.contract, data.train, data.held_out, RECIPE)
    untaught = np.median(data.train.labels.numpy() - data.train.numbers[:, 0].numpy())
    assert np.abs(labels - found.median).mean() < 0.5 * np.abs(labels - start - untaught).mean()
    assert found.seconds > 0


def test_a_number_beyond_its_training_range_is_still_followed() -> None:
    data = encoded()
    late = data.held_out.at(slice(0, 50))
    late.numbers[:, 0] += 500
    moved = trees_answer(data.contract, data.train, late, RECIPE).median
    assert np.abs(moved - late.numbers[:, 0].numpy()).max() < 60


def test_the_same_rows_give_the_same_trees() -> None:
    first, second = (trees_answer(data.contract, data.train, data.held_out, RECIPE).median for data in (encoded(), encoded()))
    np.testing.assert_array_equal(first, second)


def test_the_yardstick_is_no_part_of_what_airflow_parses_what_serves_or_what_decides() -> None:
    serving = "roundtrip.serving.gateway.app", "roundtrip.serving.score_partition"
    for module in ("use_cases", "operators.job", *serving, "jobs.train_model", "jobs.decide_retrain"):
        code = f"import sys, {module}; sys.exit('lightgbm' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, module


def test_lightgbm_finds_the_openmp_runtime_that_torch_brings() -> None:
    """A slim Debian has no libgomp of its own: torch's must be loaded by the time lightgbm looks for one."""
    code = "import sys, roundtrip.evaluation.yardstick; print(*sys.modules); print(open('/proc/self/maps').read())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    modules, maps = said.split("\n", 1)
    assert modules.split().index("torch") < modules.split().index("lightgbm")
    assert "/torch/lib/libgomp.so.1" in maps
