"""A night in numbers: what came, what became of it, how fast, and whether the books balance."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from alerce_dagster.stages import Night
from alerce_dagster.stages.answer_messages import SUPERNOVA
from alerce_dagster.stages.classifications import CLASSIFIER
from alerce_dagster.storage import latency, ledger, outbox, queries, tables
from alerce_dagster.storage.ledger import Entry
from alerce_dagster.storage.outbox import TopicCount


@dataclass(frozen=True)
class Summary:
    """What is known of one night."""

    stages: dict[str, Entry]
    """The ledger's sums, all versions of a stage together."""

    n_alerts: int
    classified: int
    """Alerts with an answer of the stamp classifier, or the reason why there is none."""

    classes: dict[str, int]
    """Objects by class."""

    supernovae: int
    """Alerts that look most like a supernova."""

    set_aside: Counter[str]
    topics: list[TopicCount]
    latencies: dict[str, np.ndarray]
    exposed: np.ndarray
    """MJD of every alert's exposure, shape (n_alerts,)."""

    @property
    def complete(self) -> bool:
        """Everything that came is accounted for, classified, and, where results go out, published."""
        balances = all(entry.balances for entry in self.stages.values())
        stored = self.stages["alerts"].n_out if "alerts" in self.stages else 0
        return balances and stored == self.n_alerts == self.classified and not any(t.waiting for t in self.topics)


def summarise(night: Night) -> Summary:
    """Read a night's summary from the stores."""
    survey, day = night.survey.name, night.night
    alert, answer = tables.alert, tables.classification
    same = (alert.c.survey == answer.c.survey) & (alert.c.candid == answer.c.candid)
    of_night = (alert.c.survey == survey, alert.c.night == day)
    answers = sa.select(answer.c.class_name, sa.func.count()).select_from(alert.join(answer, same)).where(*of_night)
    with night.stores.database.reading() as connection:
        stages = ledger.totals(connection, survey, day, {})
        exposed = np.array(connection.scalars(sa.select(alert.c.mjd).where(*of_night)).all(), float)
        by_class = dict(
            map(tuple, connection.execute(answers.where(answer.c.classifier == CLASSIFIER).group_by("class_name")))
        )
        return Summary(
            stages=stages,
            n_alerts=len(exposed),
            classified=sum(by_class.values()),
            classes=queries.class_counts(connection, survey, [day], CLASSIFIER),
            supernovae=by_class.get(SUPERNOVA, 0),
            set_aside=stages["alerts"].reasons if "alerts" in stages else Counter(),
            topics=outbox.counts(connection, survey, day),
            latencies=latency.latencies(latency.moments(connection, survey, day)),
            exposed=exposed,
        )
