"""Models of other libraries as Networks."""
