"""What stands beside a model: options, log, curves, live and afterwards."""
