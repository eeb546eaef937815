"""What is installed on this machine: whether it works, what it keeps, how it is set."""
