"""Made-up people, and 3D recordings as a 2D estimator would see them."""
