"""The rules of Signalbox, in plain Python: this package imports the standard library and nothing else."""
