//! The phases of a task: calm, in trouble, or over for less than a day. Part of the stored facts; decides nothing.

use olog_proto::Timestamp;
use olog_push::ResolvedBy;
use serde::{Deserialize, Serialize};

use super::notify_policy::TaskIncident;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    #[default]
    Calm,
    /// An error came and is not over. Without an incident: it was there at the agent's first start, nobody is told.
    Trouble {
        incident: Option<Box<TaskIncident>>,
        /// An end that is inferred and not yet believed.
        pending: Option<UnconfirmedEnd>,
        /// When the hub last heard of an error.
        heard_at: Timestamp,
        /// An alarm is not quiet before: its device was away.
        #[serde(default)]
        not_quiet_before: Option<Timestamp>,
    },
    /// Over, but not for long enough to be another incident if it begins again.
    Over { incident: Box<TaskIncident>, ground: ResolvedBy, at: Timestamp, decided_at: Timestamp },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct UnconfirmedEnd {
    pub(super) ground: ResolvedBy,
    pub(super) at: Timestamp,
    pub(super) until: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Good {
    pub(super) ground: ResolvedBy,
    /// When the run began that shows it; unknown for a log that merely grew.
    pub(super) began_at: Option<Timestamp>,
    pub(super) at: Timestamp,
    pub(super) heard_at: Timestamp,
}

impl Phase {
    pub(super) fn trouble(
        incident: Option<Box<TaskIncident>>,
        pending: Option<UnconfirmedEnd>,
        heard_at: Timestamp,
    ) -> Phase {
        Phase::Trouble { incident, pending, heard_at, not_quiet_before: None }
    }

    pub(super) fn pending(&self) -> Option<UnconfirmedEnd> {
        if let Phase::Trouble { pending, .. } = self { *pending } else { None }
    }

    pub(super) fn incident_mut(&mut self) -> Option<&mut TaskIncident> {
        match self {
            Phase::Calm => None,
            Phase::Trouble { incident, .. } => incident.as_deref_mut(),
            Phase::Over { incident, .. } => Some(incident),
        }
    }
}
