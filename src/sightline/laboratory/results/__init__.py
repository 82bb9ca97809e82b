"""What the finished runs of a study show: records, paired differences, tables, pages."""
