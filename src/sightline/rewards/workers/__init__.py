"""Killable processes that grade and run a user's rewards."""
