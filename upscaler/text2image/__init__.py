"""Pictures from text: parameters, styles, sizes, and `TextToImage`, which draws them."""
