"""The second implementation of the two stateful folds, for the audit to believe.

Written from the documents (DESIGN section 4, the lists of checks, the schemas) and not from the
first: it imports nothing of the rooms, the domain or the wire; import-linter holds that. Messages
are the dicts that Avro gives and takes; codes and reasons are stated again, with their numbers.

    model = RiskModel(partition)            # or MatcherModel
    for each record of the partition, in order of offset:
        derived = model.take(offset, record, fields)    # what must stand in the topics
    model.finish()                          # once, at the end of the log: what holds at rest
    model.faults, model.totals(), model.state(), model.genesis_hash()

Beside deriving what the first implementation must have written, each model looks for broken
promises with means of its own, and reports them as faults; it never raises on bad input.
"""

from services.tools.proof.audit.model.matcher import MatcherModel
from services.tools.proof.audit.model.risk import RiskModel
from services.tools.proof.audit.model.said import Derived, Fault

__all__ = ["Derived", "Fault", "MatcherModel", "RiskModel"]
