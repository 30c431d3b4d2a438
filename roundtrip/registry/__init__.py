"""Model versions: MLflow registration and the immutable version folder."""
