"""Colours and markers of all pictures."""

# Readable for the colour-blind, in this order (Okabe and Ito 2008); after the last, again with other markers and lines.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#555555")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">", "h", "*")
