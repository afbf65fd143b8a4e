"""Clients of the server: certificates, trust, users, sessions, and when a connection is ended."""
