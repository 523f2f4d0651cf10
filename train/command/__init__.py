"""The command line, processes and signals of a run."""
