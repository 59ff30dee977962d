"""The states of a report to TNS, and which may follow which. Everything else is refused.

    proposed ──► approved ──► sending ──► sent ──► accepted ──► retracted
        │            │            │         ├────► rejected ──► approved (by a person, again)
        ▼            ▼            ▼         ▼
    withdrawn    known to TNS already, by a look before sending or by TNS's answer

`sending` is written, with the payload's hash, before the request leaves: whoever finds a report in it does not know
whether TNS has it and must ask before anything is sent again.
"""

from alerce_dagster.errors import InputError

PROPOSED, APPROVED, SENDING, SENT = "proposed", "approved", "sending", "sent"
ACCEPTED, REJECTED, KNOWN = "accepted", "rejected", "already_known"
WITHDRAWN, RETRACTED = "withdrawn", "retracted"

TRANSITIONS: dict[str | None, tuple[str, ...]] = {
    None: (PROPOSED,),
    PROPOSED: (APPROVED, WITHDRAWN, KNOWN),
    APPROVED: (SENDING, WITHDRAWN, KNOWN),
    # Back to approved only when TNS certainly has nothing of it.
    SENDING: (SENT, APPROVED, ACCEPTED, KNOWN, REJECTED),
    SENT: (ACCEPTED, REJECTED, KNOWN),
    REJECTED: (APPROVED, WITHDRAWN, KNOWN),
    WITHDRAWN: (PROPOSED, APPROVED),
    ACCEPTED: (RETRACTED,),
    KNOWN: (),
    RETRACTED: (),
}
STATES = tuple(state for state in TRANSITIONS if state is not None)
ENDED = (ACCEPTED, REJECTED, KNOWN, WITHDRAWN, RETRACTED)
"""Nothing is left to do for the program."""


def require(before: str | None, after: str, of: str) -> None:
    """Raise InputError unless `after` may follow `before`; `of` names the object."""
    if after not in TRANSITIONS[before]:
        allowed = ", ".join(TRANSITIONS[before]) or "nothing: it is the end"
        raise InputError(
            f"the report of {of} is {before or 'not there yet'} and cannot become {after}; next is {allowed}"
        )
