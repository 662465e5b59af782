"""What `avsr-bench noise` does: a sheet that shows every level of every family, and noise on a video file."""
