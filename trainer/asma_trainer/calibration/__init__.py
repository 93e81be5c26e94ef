"""A bundle made sure of itself: temperature, familiarity and decisions, from recordings."""
