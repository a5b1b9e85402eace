"""How budgets of data sets on a cluster grow with rows and workers."""
