"""Source of modules: the walk over a spec, names, masks and arrays that all targets with Python source share."""
