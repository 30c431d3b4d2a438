"""Every error of Roundtrip, in one tree. A message gives the value, the limit and the remedy.

The exit code tells Airflow what to do with the task (docs/architecture.md, "Exit codes").
"""


class RoundtripError(Exception):
    """Something failed that may succeed when tried again: Airflow retries with backoff."""

    exit_code = 1


class AnswerIsNo(RoundtripError):
    """The job worked and its answer is no (a gate, the governor, nothing to do): skip what follows, not a failure."""

    exit_code = 10


class BadRequest(RoundtripError):
    """The data or the request is wrong: fail, and don't retry."""

    exit_code = 20


class UnknownUseCase(BadRequest):
    """No use case of that name is declared."""


class UnknownFeed(BadRequest):
    """The use case declares no feed of that name."""


class BadDeclaration(BadRequest):
    """A use case's declaration contradicts itself."""


class BadName(BadRequest):
    """A name or address from a user that is not of the allowed form."""


class BadPartition(BadRequest):
    """A partition that is no month of the form 2013-04, or that the use case does not cover."""


class SettingMissing(BadRequest):
    """An environment variable that a job needs is not set."""


class UnknownTable(BadRequest):
    """The use case declares no table of that name (no folder in sql/)."""


class BadDefinition(BadRequest):
    """A table's schema.yaml or checks.yaml, or the columns that its query gives, are not of the form that they must have."""


class UnknownRef(BadRequest):
    """Git knows no such branch, tag or commit in this checkout, or there is no checkout."""


class TableMissing(BadRequest):
    """A table, or the partition of it that a job reads, has not been built."""


class NothingLanded(AnswerIsNo):
    """No partition of the feed has landed since the last look."""


class NothingToReplay(AnswerIsNo):
    """No row waits in quarantine that the contract as it is now may let pass."""


class MissingSource(BadRequest):
    """A landed partition lacks a source file that its feed declares."""


class BadFile(BadRequest):
    """A landed file that can't be read as its format, or whose header is not the contract's."""


class FileReplaced(RoundtripError):
    """A landed file was replaced, or taken away, while it was read: what was read may be of both."""


class RowsRejected(BadRequest):
    """More rows than the limit break the row contract: the partition stops, nothing of it is published."""


class ChecksFailed(BadRequest):
    """A table check (Great Expectations) failed before publishing: nothing was published."""


class SnapshotUnusable(BadRequest):
    """The pinned tables don't hold what training needs (no rows, no labels, a missing partition)."""


class StoreUnsafe(BadRequest):
    """The object store does not refuse to overwrite what must not be overwritten."""


class UnknownModelVersion(BadRequest):
    """The store holds no model version of that number."""


class VersionNotJudged(BadRequest):
    """A registered model version that no gate let on: it never serves."""


class NothingToRollBackTo(BadRequest):
    """No version before the live one is kept, or none is live."""


class UnknownPrediction(BadRequest):
    """The prediction log holds no prediction of that id."""


class UnknownTraining(BadRequest):
    """MLflow holds no run of that id, or one that does not say what it started from or which weights came out."""


class NotReproducible(BadRequest):
    """Code, environment or declaration are not those of the training that is to be reproduced."""


class TrainingDiverged(BadRequest):
    """The loss became infinite or no number: the same snapshot and recipe would end the same way."""


class TuningFailed(BadRequest):
    """No trial of a tuning came to its end: there is no recipe to choose."""


class RankLost(RoundtripError):
    """A rank kept the others waiting beyond the recipe's limit: hung, or its machine is gone."""


class BadNodes(BadRequest):
    """A request to train over several machines that doesn't say which ones, or not where they meet."""


class CheckpointFailed(RoundtripError):
    """A checkpoint could not be written. The one before it stays, and training goes on from there when it is run again."""


class RanksChanged(BadRequest):
    """A checkpoint of other ranks, by a strategy that can't be shared out anew."""


class CandidateRefused(AnswerIsNo):
    """The gate refuses the candidate: nothing is registered, the champion stays."""


class BadOverride(BadRequest):
    """An override of the gate without a name or without a reason, or with one that is too long."""


class ReceiptMissing(BadRequest):
    """A job reads a predecessor's receipt that isn't in the run folder."""


class DigestMismatch(BadRequest):
    """A file of a model version is not the one its manifest names."""


class CompileFailed(BadRequest):
    """An engine can't be built from a trained model's graph."""


class ParityFailed(BadRequest):
    """The compiled model answers differently from the trained one."""


class ProbeFailed(RoundtripError):
    """A loaded model version does not answer, or answers wrongly: it is not promoted."""


class CandidateMisbehaves(BadRequest):
    """Real traffic speaks against a candidate: it was rolled back, and would be again."""


class TooFewRequests(AnswerIsNo):
    """A candidate saw too little traffic to be judged: it is paused."""


class ReleaseConflict(RoundtripError):
    """Somebody else changed the release document first (its generation moved on)."""


class RowRefused(BadRequest):
    """A row that breaks the live version's contract: it was not sent."""


class RequestRefused(BadRequest):
    """The gateway refuses a request (4xx): the same one would be refused again."""


class BadKeyFile(BadRequest):
    """The file of the gateway's API keys can be touched by others, or holds something else."""


class BadKey(BadRequest):
    """An API key that can't be added or revoked as asked."""


class ServiceUnavailable(RoundtripError):
    """A service did not answer in time."""


class BadPort(BadRequest):
    """A port that is no number, or out of range."""


class PortTaken(RoundtripError):
    """A port that a service needs is held by another program."""


class SetUpIncomplete(BadRequest):
    """Something that `make setup` installs is not there."""


class UnknownService(BadRequest):
    """The embedded stack has no service of that name."""


class SetUpFailed(RoundtripError):
    """A step of the set-up failed: run it again, it goes on where it stopped."""


class RunFailed(RoundtripError):
    """A DAG run that is waited for failed, or did not end in time."""


class NoChampion(AnswerIsNo):
    """No model version is live yet: there is nothing to score with."""


class NothingPredicted(AnswerIsNo):
    """A partition whose outcomes came before any model was asked about it: there is nothing to measure."""


class RetrainHeld(AnswerIsNo):
    """The governor asks for no retrain; its message is everything that held it back."""


class UnknownJob(BadRequest):
    """jobs/ holds no job of that name."""
