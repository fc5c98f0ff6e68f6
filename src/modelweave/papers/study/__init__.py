"""All data-free methods of weight merging on the same suites, and the page that says how they did."""
