"""The printed listings in our own Python, with their faults kept: what `--as book` plays.

A module with the name of a page has a `run` like the page's, and BREAKS: for each act, the claims
that break, exactly those. The other modules are stand-ins for the Ruby libraries that the listings
used, as far as the listings used them, and behave as these were measured to behave.

Every docstring has a heading `Faults`. The numbers below it are those of the chapter's mistakes
(scenarios/README.md lists all fifteen), and a comment like `# fault 4` marks the place in the code.
"""
