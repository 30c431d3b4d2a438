"""How a candidate is measured and judged against the baseline and the champion."""
