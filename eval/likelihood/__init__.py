"""The probability of texts under language models, in the ways that models of each kind have it."""
