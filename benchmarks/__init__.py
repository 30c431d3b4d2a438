"""What is measured against what, each with its committed result in benchmarks/results/."""
