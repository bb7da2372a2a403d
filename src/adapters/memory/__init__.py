"""Every port in plain dictionaries: the executable meaning of the contracts, for tests and for a look around."""
