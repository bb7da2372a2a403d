"""Cryptography behind the ports of identity: password hashes, access tokens and secrets."""
