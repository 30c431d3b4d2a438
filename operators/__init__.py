"""How a job is launched and watched from Airflow: one operator per way of launching."""
