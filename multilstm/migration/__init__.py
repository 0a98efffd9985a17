"""From Keras 1 and 2 to Keras 3: the changes that touch an old model, in numbers, and a file that means the same.

A loaded model of an old Keras enters; a `.keras` file of Keras 3 leaves, with the rows of the table that the model
touches. `drift.py` has the table, `seen.py` its conditions, and `measured.py` its numbers. `migrate.py` puts them
together, and `code.py` writes source. Imports the suite and the rooms below it.
"""

from multilstm.migration.code import migrated_source
from multilstm.migration.drift import DRIFTS, Drift
from multilstm.migration.migrate import Change, Migration, migrate_model

__all__ = ["DRIFTS", "Change", "Drift", "Migration", "migrate_model", "migrated_source"]
