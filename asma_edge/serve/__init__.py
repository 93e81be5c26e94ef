"""A page that shows live what is recognised, for a browser on this machine or, with a token, in this network."""

from asma_edge.serve.output import PageOutput
from asma_edge.serve.server import PageServer, ServeError

__all__ = ["PageOutput", "PageServer", "ServeError"]
