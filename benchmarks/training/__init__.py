"""Training beside what it is measured against: quality, strategies."""
