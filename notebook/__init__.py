"""The functions and classes for notebooks, all under one name: `import fivefold`."""
