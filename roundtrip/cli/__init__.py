"""The `roundtrip` command. `roundtrip.cli.doctor` runs on a bare Python: import nothing here."""
