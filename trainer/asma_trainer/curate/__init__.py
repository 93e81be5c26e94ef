"""Look at data sets and put them right: label, check, describe, draw."""
