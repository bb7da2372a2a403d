"""A small context that is no part of `src/`: notes that their participants write together."""
