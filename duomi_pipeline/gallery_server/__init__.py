"""The gallery as a page that is served: it follows what happens, and does what the command line does. No Dagster.

- `actions`: what a person may ask for: what it would send and cost, and what is recorded for it.
- `desk`: asked, confirmed, and carried out one at a time.
- `mirror`: the gallery's folder, written anew when the ledger has changed.
- `app`: addresses and answers; `gate`: who may ask.
- `serving`: all of it together, until Ctrl-C.
"""
