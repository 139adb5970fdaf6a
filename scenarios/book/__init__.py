"""The printed listings in our own Python, with their mistakes kept: what `--as book` plays.

A module with the name of a page has a `run` like the page's, and BREAKS: for each act, the claims
that break, exactly those, each with the mistake that breaks it. The other modules are stand-ins for
the Ruby libraries that the listings used, as far as the listings used them, and behave as these
were measured to behave.

Every docstring has a heading `Mistakes`. The numbers below it are those of the chapter's mistakes
(../mistakes.py has all fifteen), and a comment like `# mistake 4` marks the place in the code.

Where one mistake hides another, the listing can be played with the first mended. MENDS says which:
for its number, what is done instead. Then `run` has a fourth parameter, the number of the mended
mistake (0 for none), and BREAKS may have an entry for an act with that mended: `("act", 1)`.
"""
