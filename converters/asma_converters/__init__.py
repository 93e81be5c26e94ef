"""From a trained student to a verified int8 bundle, compared at every step."""
