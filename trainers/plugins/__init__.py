"""Our rewards and advantages in other trainers without a fork: one module for each, over `bridge`."""
