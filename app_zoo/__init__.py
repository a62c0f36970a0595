"""EasyMFT's application zoo: what the `easymft` command runs.

This top-level package belongs to the distribution `easymft` (`pip show -f easymft` lists its files). The library of
that name stands beside it and imports nothing of it.
"""
