"""Language models: any OpenAI-compatible server, or a small one in this process."""
