"""The neutral representation between the frameworks: shapes, static expressions, layers and staged programs."""
