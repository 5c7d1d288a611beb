"""The network: what goes in, its layers, and where weights come from."""
