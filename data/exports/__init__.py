"""The formats in which people have their history already, each read as a stream."""
