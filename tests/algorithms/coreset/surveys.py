"""A pilot and a read of some rows, as a fit makes them."""

from dkmeans.algorithms.coreset.pilot import Pilot, pilot_of, pilot_size
from dkmeans.algorithms.coreset.survey import Coreset, coreset_of, survey_request
from dkmeans.algorithms.scaling import scaling_from, scaling_request
from dkmeans.models.scaling import AnyScaling
from dkmeans.rows.rows import Rows


def pilot_from(rows: Rows, k: int, seed: int = 0, scale: str | None = None) -> Pilot:
    found = rows.pilot(pilot_size(k, rows.n_features * 8), seed)
    return pilot_of(found, scale, k, seed)


def survey(
    rows: Rows, size: int, seed: int = 0, scale: str | None = None, pilot: Pilot | None = None
) -> tuple[Coreset, AnyScaling | None]:
    """Read the rows once; without a pilot, all go into the coreset."""
    learn = scaling_request(rows, scale, None if pilot is None else pilot.mean)
    found, answer = rows.run([learn, survey_request(pilot, size, seed)])
    scaling = scaling_from(scale, found, rows.feature_names)
    return coreset_of(answer, pilot, scaling), scaling
