"""What requests and responses hold. Responses are described here and built by ``jobs.views``."""
