"""asma-edge: recognise human actions from skeleton streams on a small computer."""
