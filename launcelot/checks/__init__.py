"""What is looked at in mail from strangers before it is taken."""
