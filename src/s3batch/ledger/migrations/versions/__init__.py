"""One module per revision of the schema, never edited once released."""
