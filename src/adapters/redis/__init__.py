"""What several processes share through Redis; each part has an answer for when Redis is gone."""
