"""What a training that was interrupted continues with: rows by pass, trees by fit, and the version it registered."""
