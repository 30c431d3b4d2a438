"""Ask the gateway: `Client("flight_eta").predict(rows)`, or `await AsyncClient("flight_eta").predict(rows)`.

Rows are checked against the live version's contract before anything is sent. What fails for a moment is tried again, with full jitter
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), until it is answered or the deadline of the call has passed.
"""

from roundtrip.serving.client.answers import Answer, Prediction
from roundtrip.serving.client.clients import AsyncClient, Client
from roundtrip.serving.client.served_contract import Row, ServedContract

__all__ = ["Answer", "AsyncClient", "Client", "Prediction", "Row", "ServedContract"]
