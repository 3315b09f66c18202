"""What operators see of the running system, for the command line, the metrics and the console."""
