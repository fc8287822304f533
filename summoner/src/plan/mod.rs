//! Decisions as values: what is wanted, what was observed, and the steps between them, each with its reason.
//!
//! Everything here is pure: no async, no file system, no engine, no clock, no environment. `now` is an argument.

pub mod backup;
pub mod ban;
pub mod budget;
pub mod card;
pub mod cert;
pub mod deploy;
pub mod drill;
pub mod metrics;
pub mod recovery;
pub mod restore;
pub mod retention;
pub mod route;
pub mod schedule;
pub mod sites;
pub mod snapshot;
pub mod state;
pub mod status;
pub mod subnet;
pub mod sync;
pub mod told;
pub mod wanted;

use std::fmt;

use serde::Serialize;

use crate::name::InstanceId;

/// What a step does. The words are part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Chooses the private range of our networks.
    ChooseNetworkRange,
    /// Makes a folder on the host.
    MakeFolder,
    /// Generates a secret.
    GenerateSecret,
    /// Issues a certificate.
    IssueCertificate,
    /// Fetches an image.
    PullImage,
    /// Makes a network.
    CreateNetwork,
    /// Makes a named volume.
    CreateVolume,
    /// Removes a container.
    RemoveContainer,
    /// Gives a container its name back.
    RenameContainer,
    /// Makes a container.
    CreateContainer,
    /// Makes a container again.
    RecreateContainer,
    /// Joins a container to a network.
    ConnectNetwork,
    /// Starts a container.
    StartContainer,
    /// Makes the first administrator.
    CreateAdministrator,
    /// Makes settings that no variable reaches.
    Configure,
    /// Opens, changes or closes routes.
    Route,
    /// Proves through the proxy that an instance works.
    Verify,
    /// Removes a network.
    RemoveNetwork,
    /// Copies files that changed.
    CopyFiles,
    /// Makes an application stand still.
    StandStill,
    /// Dumps a database.
    DumpDatabase,
    /// Lets an application go on.
    GoOn,
    /// Checks that a snapshot is whole.
    VerifySnapshot,
    /// Takes a snapshot.
    TakeSnapshot,
    /// Puts files beside the live ones.
    StageFiles,
    /// Loads a database beside the live one.
    StageDatabase,
    /// Puts what was staged in the place of what is live.
    Swap,
}

impl Action {
    /// Done on the host alone, before anything of the engine is touched; the plan is made anew afterwards.
    #[must_use]
    pub fn is_preparation(self) -> bool {
        matches!(self, Self::ChooseNetworkRange | Self::MakeFolder | Self::GenerateSecret | Self::IssueCertificate)
    }

    /// Done to one container; its object is the container's name, which networks and administrators may share.
    #[must_use]
    pub fn is_of_container(self) -> bool {
        matches!(
            self,
            Self::RenameContainer | Self::CreateContainer | Self::RecreateContainer | Self::ConnectNetwork | Self::StartContainer
        )
    }

    /// The words a person reads.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::ChooseNetworkRange => "choose network range",
            Self::MakeFolder => "make folder",
            Self::GenerateSecret => "generate secret",
            Self::IssueCertificate => "issue certificate",
            Self::PullImage => "pull image",
            Self::CreateNetwork => "create network",
            Self::CreateVolume => "create volume",
            Self::RemoveContainer => "remove container",
            Self::RenameContainer => "rename container",
            Self::CreateContainer => "create container",
            Self::RecreateContainer => "recreate container",
            Self::ConnectNetwork => "connect network",
            Self::StartContainer => "start container",
            Self::CreateAdministrator => "create administrator",
            Self::Configure => "configure",
            Self::Route => "route",
            Self::Verify => "verify",
            Self::RemoveNetwork => "remove network",
            Self::CopyFiles => "copy files",
            Self::StandStill => "stand still",
            Self::DumpDatabase => "dump database",
            Self::GoOn => "go on",
            Self::VerifySnapshot => "verify snapshot",
            Self::TakeSnapshot => "take snapshot",
            Self::StageFiles => "stage files",
            Self::StageDatabase => "stage database",
            Self::Swap => "swap",
        }
    }
}

/// One action and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it does.
    pub action: Action,
    /// Whose it is; a host-wide step has none.
    pub instance: Option<InstanceId>,
    /// The thing it is done to.
    pub object: String,
    /// Why.
    pub reason: String,
    /// Whether something could be lost that cannot be made again.
    pub destructive: bool,
}

/// Why an instance cannot be made as wanted; nothing of it is touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// Whose.
    pub instance: InstanceId,
    /// What is in the way.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// The steps from what is to what is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// In the order in which they are done.
    pub steps: Vec<Step>,
    /// Instances that cannot be made as wanted.
    pub obstacles: Vec<Obstacle>,
}

impl Plan {
    /// Nothing to do and nothing in the way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.obstacles.is_empty()
    }

    /// The steps for one thing of one instance.
    pub fn steps_for<'a>(&'a self, instance: &'a InstanceId, object: &'a str) -> impl Iterator<Item = &'a Step> {
        self.steps.iter().filter(move |step| step.instance.as_ref() == Some(instance) && step.object == object)
    }

    /// Whether any step concerns an instance.
    #[must_use]
    pub fn concerns(&self, instance: &InstanceId) -> bool {
        self.steps.iter().any(|step| step.instance.as_ref() == Some(instance))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}", self.action.words(), self.object, self.reason)
    }
}
