"""How an experiment is run and judged: rows, checks as data, the words and the pictures made from them."""
