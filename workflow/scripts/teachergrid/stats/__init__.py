"""Statistics without any knowledge of teachers: ranks, resampling, comparisons."""
