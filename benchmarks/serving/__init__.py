"""What serving is measured against."""
