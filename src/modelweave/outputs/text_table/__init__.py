"""Tables with numbers, categories and text: trees, linear models and a network on the same rows, stacked."""
