"""What a notebook asks of fivefold, under one name: `import fivefold`."""
