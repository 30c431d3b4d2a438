"""Headers that callers send and the gateway reads."""

DEADLINE = "X-Envoy-Expected-Rq-Timeout-Ms"
"""Milliseconds that the caller waits: the header by which Envoy and Istio tell an upstream the timeout of its route
(https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter), so a mesh in front fills it in by itself."""
