"""Small classifiers over dialogues that decide labels of the plan."""
