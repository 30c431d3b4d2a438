"""The pages of the plugin. Imported at the first request: what they import would cost every task a second."""
