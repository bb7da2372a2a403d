"""Implements the ports of the application, one technology per folder. The folders do not import each other."""
