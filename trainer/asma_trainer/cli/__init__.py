"""The commands asma-data and asma-train: arguments in, exit codes out."""
