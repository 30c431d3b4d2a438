"""Make or migrate Airflow's tables and its admin user; run by `roundtrip up` with Airflow's environment.

A script and not `airflow users create`, because that takes the password as an argument, where `ps` shows it.
Finds the user in ROUNDTRIP_AIRFLOW_USER and ROUNDTRIP_AIRFLOW_PASSWORD.
"""

import os

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.utils.db import initdb


def make_admin(name: str, password: str) -> None:
    """The user with the role Admin; one that exists gets this password."""
    with get_application_builder() as builder:
        security = builder.sm
        user = security.find_user(name)
        if user is None:
            security.add_user(name, "Roundtrip", "Admin", f"{name}@localhost", security.find_role("Admin"), password)
        else:
            security.reset_password(user.id, password)


if __name__ == "__main__":
    initdb()
    make_admin(os.environ["ROUNDTRIP_AIRFLOW_USER"], os.environ["ROUNDTRIP_AIRFLOW_PASSWORD"])
