"""Pictures of pairs with their boxes."""
