"""The network: what goes in, its layers, which weights there are, and how they are kept."""
