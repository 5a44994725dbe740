"""The drawing of storyboard cards. One entry point, `card.card_png`, used by `sandbox.pictures` alone."""
