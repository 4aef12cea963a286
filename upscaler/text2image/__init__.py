"""Pictures from text: what is wished for, in which style, and the models that draw it."""
