"""What every report uses: figures with intervals, tables, the frame of a page."""
