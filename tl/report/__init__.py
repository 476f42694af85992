"""What a run found out, as one page for people and a card for its model."""
