"""The roof: options, service makers, the launcelot command, configuration, demo."""
