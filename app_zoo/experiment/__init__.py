"""--mode experiment: methods x domains x amounts of data x seeds, from a plan to a table."""
