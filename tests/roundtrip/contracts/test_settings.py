import ast
import inspect

import pytest

from roundtrip.contracts import settings as settings_module
from roundtrip.contracts import use_cases as use_cases_module
from roundtrip.contracts.errors import SettingMissing
from roundtrip.contracts.settings import Settings, settings


def undocumented_fields(module: object, class_name: str) -> list[str]:
    """Fields of a dataclass that no docstring follows."""
    tree = ast.parse(inspect.getsource(module))  # type: ignore[arg-type]
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    return [
        ast.unparse(node.target)
        for node, following in zip(body, [*body[1:], ast.Pass()], strict=True)
        if isinstance(node, ast.AnnAssign) and not (isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant))
    ]


def test_every_setting_is_documented() -> None:
    missing = undocumented_fields(settings_module, "Settings")
    assert not missing, f"write a docstring under {missing} in roundtrip/contracts/settings.py: its unit and why one would change it"


@pytest.mark.parametrize("name", ["Slice", "Recipe", "Between", "OneOf", "Gate", "RetrainPolicy"])
def test_every_field_that_a_use_case_tunes_is_documented(name: str) -> None:
    missing = undocumented_fields(use_cases_module, name)
    assert not missing, f"write a docstring under {missing} of {name} in roundtrip/contracts/use_cases.py"


def test_a_setting_that_is_not_set_says_how_to_get_it() -> None:
    with pytest.raises(SettingMissing, match="ROUNDTRIP_DATABASE_URL is not set: run `roundtrip up`"):
        _ = settings({}).database_url


def test_secrets_stay_out_of_the_repr() -> None:
    every = {entry.metadata["variable"]: f"value-of-{name}" for name, entry in Settings.__dataclass_fields__.items()}
    shown = repr(settings(every))
    for name in ("s3_secret_key", "spark_remote", "mlflow_password", "database_url", "triton_admin_key", "gateway_key", "airflow_password"):
        assert f"value-of-{name}" not in shown
    assert "value-of-mlflow_url" in shown
