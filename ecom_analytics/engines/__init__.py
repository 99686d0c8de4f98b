"""Engines: one connection for Ibis, and what differs between engines behind it."""
