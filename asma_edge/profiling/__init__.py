"""Speed, memory and heat of a bundle on this machine: what `asma-edge profile` prints."""

from asma_edge.profiling.measure import ProfileSettings, compare, profile
from asma_edge.profiling.schema import Comparison, Profile

__all__ = ["Comparison", "Profile", "ProfileSettings", "compare", "profile"]
