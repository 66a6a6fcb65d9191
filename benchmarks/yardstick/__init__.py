"""The public yardstick: value models judged on public data, under one protocol."""
