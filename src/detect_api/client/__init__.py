"""Talking to a detect-api server from Python, as the command line does."""

from detect_api.client.http import Client, ClientError

__all__ = ["Client", "ClientError"]
