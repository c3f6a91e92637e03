"""One file a headline figure, each beside a named peer or a floor measured in the same run."""
