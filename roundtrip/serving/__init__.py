"""Export, Triton, the release document and the gateway."""
