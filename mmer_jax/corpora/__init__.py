"""The datasets RAVDESS and BAUM-1: file names, labels, layout on disk, download and emotions."""
