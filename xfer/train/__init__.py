"""The workshop: data sets -> checkpoint."""
