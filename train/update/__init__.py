"""One update: step, optimizer, devices, random keys."""
