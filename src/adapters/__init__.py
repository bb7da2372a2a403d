"""The ports of the application, each met by one technology per folder; the folders do not know each other."""
