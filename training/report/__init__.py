"""What a run leaves for people: figures as JSON, plots as PNG, the model card, and a page."""
