"""`roundtrip demo`: the world outside. It lands files, asks the gateway, and watches Airflow; it never runs a job itself."""
