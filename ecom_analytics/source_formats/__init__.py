"""Source formats: how a file of raw events looks, and what its rows mean."""
