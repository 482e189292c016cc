"""Talking to a detect-api server from Python, as the command line does; see docs/CLIENT.md."""

from detect_api.client.aio import AsyncClient
from detect_api.client.errors import ClientError
from detect_api.client.flow import Patience
from detect_api.client.http import Client
from detect_api.client.options import Upload

__all__ = ["AsyncClient", "Client", "ClientError", "Patience", "Upload"]
