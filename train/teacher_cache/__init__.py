"""A teacher's answers on disk: computed once, used in all epochs, runs and studies."""
