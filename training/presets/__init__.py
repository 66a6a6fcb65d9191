"""Presets: settings that fit data of different shapes, and the choice among them on earlier windows."""
