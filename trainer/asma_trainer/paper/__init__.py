"""The tables and figures of the ASMa paper, each from one command, on any data set."""
