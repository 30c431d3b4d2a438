"""The gateway: the address that callers know. It follows the release document and always answers with the live version."""
