"""Whose replies a report compares."""

CANDIDATE, DEPLOYED, BASE = "this model", "the model in use", "the base model"
MARKOV, OTHERS = "a Markov chain", "other members"
SIDES = (OTHERS, CANDIDATE, DEPLOYED, BASE, MARKOV)  # as they are shown
