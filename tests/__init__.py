"""The tests of Launcelot; they mirror the package."""
