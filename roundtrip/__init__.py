"""Roundtrip: raw data to a served model, and back when it drifts."""
