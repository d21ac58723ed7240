"""Charts as SVG: small functions that draw chart data, each for some width in pixels."""
