"""Tables, statistics, pictures and pages of an experiment: methods over domains, amounts of data and seeds."""
