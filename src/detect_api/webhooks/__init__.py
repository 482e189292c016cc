"""Sending one webhook: where it may go, how it is signed, and what came of it.

Knows nothing of jobs; ``jobs/outbox.py`` writes deliveries down and ``jobs/deliver.py`` has them
sent.
"""
