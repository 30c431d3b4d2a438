"""Tables: how a partition is read, checked, published and pinned (Spark, Delta, Great Expectations)."""
