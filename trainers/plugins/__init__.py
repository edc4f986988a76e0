"""Our rewards and advantages inside other trainers, without a fork: one thin module for each, over `bridge`."""
