"""Reviews a diff with a language model; knows nothing of GitLab, editors or datasets."""
