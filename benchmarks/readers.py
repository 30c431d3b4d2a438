"""What bad rows cost: a million-row CSV built clean, with one bad row, with one stray quote and with every row bad, side by side.

`make bench-readers`, with the stack's Spark server up. Each file is built through `build_table` in a session of its own, in turn, after a
round that is not counted; the server's highest resident memory is reset before each build (/proc/PID/clear_refs) and read after it. The
result is committed as benchmarks/results/readers_<hardware>_<date>.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from roundtrip.cli.stack.layout import load_stack
from roundtrip.cli.stack.processes import running_pid
from roundtrip.contracts.receipts import Receipt, RunFolder, code_commit
from roundtrip.contracts.settings import REPOSITORY
from roundtrip.contracts.use_cases import Baseline, Feed, UseCase
