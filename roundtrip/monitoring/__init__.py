"""Drift, the verdict, and the governor that decides on a retrain."""
