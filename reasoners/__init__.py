"""What to say: the SMES stages, their prompts and the language models under them."""
