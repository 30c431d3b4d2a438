from roundtrip.cli.main import run

run()
