"""What every part agrees on: errors, settings, storage, run folders, receipts, use cases. Light to import: DAG files do."""
