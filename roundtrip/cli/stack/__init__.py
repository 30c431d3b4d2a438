"""The embedded stack: every service on this machine, each a supervised process with a generated credential and a readiness probe."""
