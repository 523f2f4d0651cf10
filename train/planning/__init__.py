"""Plans: the step compiled for machines that are not there."""
