"""The drawing of storyboard cards. One door: `card.card_png`, opened by `sandbox.pictures` alone."""
