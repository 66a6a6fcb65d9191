"""What a training run writes for people: model cards and pictures."""
