"""What RAVDESS and BAUM-1 are: file names, labels, layout on disk, download, emotions."""
