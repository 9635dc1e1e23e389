"""The bounded places where blocking work runs, each with an in-memory twin that tests step by hand."""
