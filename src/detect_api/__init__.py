"""detect-api: reads the number plates in large traffic videos."""

__version__ = "0.1.0"
