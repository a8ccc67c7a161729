"""`tenken-bot demo`: the whole loop in a browser, with a GitLab that is a fake and a model that is real."""
